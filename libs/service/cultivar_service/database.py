"""PostgreSQL: one schema for each service, and migrations under a lock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from cultivar_service.errors import Unavailable

LOCK_TIMEOUT = "5s"
OTHERS_TIMEOUT = "60s"
SHARED_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """Connections of one service, whose unqualified table names lie in the service's own schema.

    At most `connections` are open at once; half of them are kept.
    """

    def __init__(self, url: str, schema: str, *, connections: int = 16) -> None:
        self.schema = schema
        self.engine: AsyncEngine = create_async_engine(
            url.replace("postgresql://", "postgresql+psycopg://", 1),
            pool_size=(connections + 1) // 2,
            max_overflow=connections // 2,
            pool_pre_ping=True,
            connect_args={"options": f"-csearch_path={schema} -cidle_in_transaction_session_timeout=60000"},
        )

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Opens a transaction that commits at the end; raises Unavailable where the database does not answer.

        So it does where every connection is in use for half a minute.
        """
        try:
            async with self.engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise Unavailable("the database does not answer; the call may be repeated once it does") from error

    async def migrate(self, *chains: Path) -> None:
        """Makes the schema and brings the shared tables, then those of each chain, to their newest revision."""
        async with self.begin() as connection:
            await connection.execute(text(f"SET LOCAL lock_timeout = '{OTHERS_TIMEOUT}'"))
            await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": self.schema})
            await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
            await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{self.schema}"'))
            for chain in (SHARED_MIGRATIONS, *chains):
                await connection.run_sync(upgrade, self.schema, chain)

    async def answers(self) -> bool:
        """Tells whether the database answers a query."""
        try:
            async with self.begin() as connection:
                await connection.execute(text("SELECT 1"))
        except Unavailable:
            return False
        return True

    async def close(self) -> None:
        """Closes every connection."""
        await self.engine.dispose()


def no_database(error: BaseException) -> str:
    """Returns the sentence for a database that does not answer, or that lets this user not in."""
    said = str(getattr(error.__cause__, "orig", ""))
    if "FATAL:" not in said:
        return "the database does not answer: check CULTIVAR_DATABASE_URL, and that it runs"
    why = said.rpartition("FATAL:")[2].strip().splitlines()[0]
    return f"the database lets nobody in with these names ({why}): check user and password in CULTIVAR_DATABASE_URL"


def script_of(chain: Path) -> tuple[Config, ScriptDirectory]:
    """Returns the revisions of a folder."""
    config = Config()
    config.set_main_option("script_location", str(chain))
    config.set_main_option("path_separator", "os")
    return config, ScriptDirectory.from_config(config)


def revision_table(chain: Path) -> str:
    """Returns the name of the table that keeps the place of a chain in a schema."""
    return "shared_revision" if chain == SHARED_MIGRATIONS else "revision"


def upgrade(connection: Connection, schema: str, chain: Path) -> None:
    """Runs the revisions of a folder that the schema lacks."""
    config, script = script_of(chain)

    def steps(revision: tuple[str, ...], context: MigrationContext) -> list[RevisionStep]:
        return script._upgrade_revs("head", revision)  # type: ignore[arg-type]

    with EnvironmentContext(config, script, fn=steps, destination_rev="head") as environment:
        environment.configure(connection=connection, version_table=revision_table(chain), version_table_schema=schema)
        environment.run_migrations()
