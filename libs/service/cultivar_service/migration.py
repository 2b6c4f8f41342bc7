"""Schemas and roles: made and brought up to date by an owner, so that no service needs the right to change them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cultivar_artifacts.tables import create_artifact_schema
from psycopg.errors import LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_service.database import Database
from cultivar_service.errors import StartError, Unavailable

ARTIFACTS = "artifacts"
# ALTER ROLE takes no parameters, so what it says is put together in the database, which knows how to quote.
REMEMBER = "SELECT set_config('cultivar.role', :role, true), set_config('cultivar.password', :password, true)"
SET_PASSWORD = """
DO $$ BEGIN EXECUTE format(
  'ALTER ROLE %I PASSWORD %L', current_setting('cultivar.role'), current_setting('cultivar.password')
); END $$
"""
Schemas = Mapping[str, Sequence[Path]]


async def migrate(url: str, schemas: Schemas) -> None:
    """Brings the shared artifact schema and those of services to their newest revision, each in one transaction.

    Raises StartError where a table is in use for longer than the lock time limit, or the role may not make schemas.
    """
    try:
        await make_artifact_schema(url)
        for schema, chains in schemas.items():
            database = Database(url, schema, connections=1)
            try:
                await database.migrate(*chains)
            finally:
                await database.close()
    except Unavailable as error:
        if isinstance(getattr(error.__cause__, "orig", None), LockNotAvailable):
            raise StartError("a table was in use for too long and nothing was changed: try again") from error
        raise
    except ProgrammingError as error:
        said = str(error.orig).strip().splitlines()[0]
        raise StartError(
            f"the schemas cannot be made ({said}): give the URL of a role that owns the database"
        ) from error


async def make_artifact_schema(url: str) -> None:
    """Makes the schema that every service reads and inserts into."""
    database = Database(url, ARTIFACTS, connections=1)
    try:
        async with database.begin() as connection:
            await create_artifact_schema(connection)
    finally:
        await database.close()


async def let_in(url: str, roles: Mapping[str, str], passwords: Mapping[str, str], *, make: bool) -> None:
    """Lets the role of each schema read and write in it, and nothing else of ours but the artifacts.

    `roles` are by schema, as are `passwords`, which are set. With `make` a role that is not there is made; else
    raises StartError for it.
    """
    database = Database(url, ARTIFACTS, connections=1)
    try:
        for schema, role in roles.items():
            async with database.begin() as connection:
                await _make_role(connection, role, passwords.get(schema, ""), make)
                for grant in grants(schema, role):
                    await connection.execute(text(grant))
    except ProgrammingError as error:
        said = str(error.orig).strip().splitlines()[0]
        raise StartError(f"the roles cannot be made ({said}): give the URL of a role with CREATEROLE") from error
    finally:
        await database.close()


async def _make_role(connection: AsyncConnection, role: str, password: str, make: bool) -> None:
    there = await connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role})
    if there is None and not make:
        raise StartError(f"the role {role} does not exist: make it, or let this command make it with --make-roles")
    if there is None:
        await connection.execute(text(f'CREATE ROLE "{role}" LOGIN'))
    if password:
        given = {"role": role, "password": password}
        await connection.execute(text(REMEMBER), given)
        await connection.execute(text(SET_PASSWORD))


def grants(schema: str, role: str) -> list[str]:
    """Returns the statements that let a role read and write in a schema."""
    return [
        f'GRANT USAGE ON SCHEMA "{schema}" TO "{role}"',
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{schema}" TO "{role}"',
        f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA "{schema}" TO "{role}"',
    ]
