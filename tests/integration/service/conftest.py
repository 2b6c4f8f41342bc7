"""A schema of its own for the tests of runs and their parts."""

from collections.abc import AsyncIterator

import pytest
from cultivar_service.database import Database
from cultivar_service.migration import make_artifact_schema


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated schema."""
    await make_artifact_schema(database_url)
    database = Database(database_url, "example")
    await database.migrate()
    yield database
    await database.close()
