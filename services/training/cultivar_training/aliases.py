"""What aliases name and have named: a row for each move, and the newest in the artifact store for who serves models."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from cultivar_artifacts import Alias, ArtifactStore, save_alias
from cultivar_service.audit import record_change
from cultivar_service.names import resource_name
from cultivar_service.principal import Principal
from sqlalchemy.dialects.postgresql import TIMESTAMP, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_training.errors import AliasUnknown

COLLECTION = "aliases"
SHOWN_MOVES = 100

moves = sa.Table(
    "alias_move",
    sa.MetaData(),
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("alias", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, primary_key=True),
    sa.Column("adapter", sa.Text),
    sa.Column("base_model", sa.Text),
    sa.Column("principal", sa.Text),
    sa.Column("create_time", TIMESTAMP(timezone=True)),
)


@dataclass(frozen=True)
class Move:
    """One move of an alias: what it named from then on, and who moved it."""

    project: str
    alias: str
    revision: int
    adapter: str
    base_model: str
    principal: str
    create_time: datetime

    def stored(self) -> Alias:
        """Returns what the artifact store is to say."""
        return Alias(
            project=self.project,
            alias=self.alias,
            adapter=self.adapter,
            base_model=self.base_model,
            revision=self.revision,
        )


async def set_alias(
    connection: AsyncConnection,
    artifacts: ArtifactStore,
    principal: Principal,
    project: str,
    alias: str,
    adapter: str,
    base_model: str,
) -> Move:
    """Makes an alias name an adapter; one that names it already stays as it is, and is stored again.

    The store is written before the transaction commits and while the alias is locked, so that the last who moves it is
    the last who writes. Where the commit fails after that, `Audit` tells, and setting the alias again puts it right.
    """
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"alias/{project}/{alias}"))))
    newest = await find_alias(connection, project, alias)
    if newest is None or (newest.adapter, newest.base_model) != (adapter, base_model):
        values = {"adapter": adapter, "base_model": base_model, "principal": principal.name}
        revision = newest.revision + 1 if newest is not None else 1
        row = sa.insert(moves).values(project=project, alias=alias, revision=revision, **values)
        await connection.execute(row)
        name = resource_name(project, COLLECTION, alias)
        await record_change(connection, principal, project, "set alias", name)
        newest = await get_alias(connection, project, alias)
    await save_alias(artifacts, newest.stored())
    return newest


async def find_alias(connection: AsyncConnection, project: str, alias: str) -> Move | None:
    """Returns the newest move of an alias; None where there is none."""
    return next(iter(await list_moves(connection, project, alias, 1)), None)


async def get_alias(connection: AsyncConnection, project: str, alias: str) -> Move:
    """Returns the newest move of an alias; raises AliasUnknown."""
    newest = await find_alias(connection, project, alias)
    if newest is None:
        raise AliasUnknown(resource_name(project, COLLECTION, alias))
    return newest


async def list_moves(connection: AsyncConnection, project: str, alias: str, limit: int = SHOWN_MOVES) -> list[Move]:
    """Returns the moves of an alias, the newest first."""
    mine = moves.c.project == project, moves.c.alias == alias
    rows = await connection.execute(sa.select(moves).where(*mine).order_by(moves.c.revision.desc()).limit(limit))
    return [Move(**row) for row in rows.mappings()]


async def list_aliases(connection: AsyncConnection, project: str) -> list[Move]:
    """Returns the newest move of each alias of a project, by name."""
    newest = sa.select(moves).where(moves.c.project == project).ext(distinct_on(moves.c.alias))
    rows = await connection.execute(newest.order_by(moves.c.alias, moves.c.revision.desc()))
    return [Move(**row) for row in rows.mappings()]
