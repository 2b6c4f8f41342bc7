"""Whether a service can work on its schema: its role may use it, and it is not older than the program."""

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_service.database import SHARED_MIGRATIONS, Database, revision_table, script_of
from cultivar_service.errors import StartError

MAKE_IT = "run `cultivar migrate`, or let the service do it with CULTIVAR_MIGRATE=true"
USABLE = """
SELECT current_user AS role, has_schema_privilege(oid, 'USAGE') AS usable, ARRAY(
  SELECT relname FROM pg_class
  WHERE relnamespace = pg_namespace.oid AND relkind = 'r' AND NOT has_table_privilege(pg_class.oid, 'INSERT')
) AS closed
FROM pg_namespace WHERE nspname = :schema
"""


async def require_usable(database: Database, schema: str) -> None:
    """Raises StartError where a schema is not there, or the role of this connection may not read and write in it."""
    async with database.begin() as connection:
        row = (await connection.execute(text(USABLE), {"schema": schema})).one_or_none()
    if row is None:
        raise StartError(f"the schema {schema} does not exist in the database: {MAKE_IT}")
    if not row.usable or row.closed:
        raise StartError(
            f"the role {row.role} may not use the schema {schema}: give the role of this service in "
            "CULTIVAR_DATABASE_URL, or run `cultivar migrate` to let this role in"
        )


async def require_newest(database: Database, *chains: Path) -> None:
    """Raises StartError where the schema lacks a revision; one that the program does not know is newer, and fine."""
    async with database.begin() as connection:
        for chain in (SHARED_MIGRATIONS, *chains):
            await _require_revision(connection, database.schema, chain)


async def _require_revision(connection: AsyncConnection, schema: str, chain: Path) -> None:
    script, table = script_of(chain)[1], f"{schema}.{revision_table(chain)}"
    newest = script.get_current_head()
    known = {revision.revision for revision in script.walk_revisions()}
    there = await connection.scalar(text("SELECT to_regclass(:table)"), {"table": table})
    found = await connection.scalar(text(f"SELECT version_num FROM {table}")) if there is not None else None
    if found is None or (found in known and found != newest):
        raise StartError(
            f"the schema {schema} is at revision {found or 'none'} of {revision_table(chain)}, and this program needs "
            f"{newest}: {MAKE_IT}"
        )
