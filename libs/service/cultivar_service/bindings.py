"""Role bindings as every service reads them: from the schema `identity`, which the identity service alone writes.

A binding counts at once where it is needed, and no more five seconds after it was deleted, in every replica.
"""

import time
from collections.abc import Callable

import sqlalchemy as sa
from cultivar.auth.v1 import auth_pb2
from psycopg.errors import InvalidSchemaName, UndefinedTable
from sqlalchemy.exc import ProgrammingError

from cultivar_service.database import Database
from cultivar_service.principal import Roles

SCHEMA = "identity"
KEPT_SECONDS = 5.0
MOST_KEPT = 10_000

metadata = sa.MetaData()
role_binding = sa.Table(
    "role_binding",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("principal", sa.Text),
    sa.Column("role", sa.Text),
    sa.Column("invitation", sa.Text),
    sa.Column("create_time", sa.TIMESTAMP(timezone=True)),
)


class Bindings:
    """Reads the roles that are bound to principals, and keeps each answer for five seconds."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._kept: dict[str, tuple[float, Roles]] = {}

    async def of(self, principal: str, fresh: bool) -> Roles:
        """Returns the roles of a principal by project; raises Unavailable where the database does not answer."""
        read_at, roles = self._kept.get(principal, (float("-inf"), {}))
        if fresh or self._clock() - read_at >= KEPT_SECONDS:
            roles = await self._read(principal)
            while len(self._kept) >= MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[principal] = self._clock(), roles
        return roles

    async def _read(self, principal: str) -> Roles:
        asked = sa.select(role_binding.c.project, role_binding.c.role).where(role_binding.c.principal == principal)
        try:
            async with self._database.begin() as connection:
                rows = (await connection.execute(asked)).all()
        except ProgrammingError as error:
            if isinstance(error.orig, InvalidSchemaName | UndefinedTable):
                # The identity service has not been started yet, so nothing was bound.
                return {}
            raise
        roles: dict[str, auth_pb2.Role.ValueType] = {}
        for project, word in rows:
            roles[project] = max(auth_pb2.Role.Value(word), roles.get(project, auth_pb2.ROLE_UNSPECIFIED))
        return roles

    async def close(self) -> None:
        """Closes the connections."""
        await self._database.close()
