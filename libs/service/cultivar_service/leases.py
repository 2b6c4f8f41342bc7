"""Leases and fencing tokens, the same for runs and for review tasks.

A leasable table has `lease_owner`, `lease_token` and `lease_until`. Taking a row adds 1 to its token; whoever holds an
older token can change nothing any more. All times are the database's, so no clock of a process matters.
"""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_service.errors import StaleLease


def lapsed(table: sa.Table) -> sa.ColumnElement[bool]:
    """Returns the condition that nobody holds a row."""
    return sa.or_(table.c.lease_until.is_(None), table.c.lease_until < sa.func.now())


def held(table: sa.Table, key: sa.ColumnElement[bool], token: int) -> sa.ColumnElement[bool]:
    """Returns the condition that a row is held under a token, now."""
    return sa.and_(key, table.c.lease_token == token, table.c.lease_until >= sa.func.now())


async def take(
    connection: AsyncConnection,
    table: sa.Table,
    *,
    where: sa.ColumnElement[bool],
    order: Any,
    owner: str,
    seconds: float,
    values: dict[str, Any] | None = None,
) -> sa.RowMapping | None:
    """Takes the first free row that fits, in one statement; None where there is none.

    Rows that another transaction is taking are passed over (FOR UPDATE SKIP LOCKED), so two callers never get one row.
    """
    key = table.primary_key.columns[0]
    chosen = sa.select(key).where(where, lapsed(table)).order_by(order).limit(1).with_for_update(skip_locked=True)
    statement = (
        sa.update(table)
        .where(key == chosen.scalar_subquery())
        .values(
            lease_owner=owner,
            lease_token=table.c.lease_token + 1,
            lease_until=sa.func.now() + timedelta(seconds=seconds),
            **(values or {}),
        )
        .returning(table)
    )
    row: sa.RowMapping | None = (await connection.execute(statement)).mappings().first()
    return row


async def renew(
    connection: AsyncConnection, table: sa.Table, key: sa.ColumnElement[bool], token: int, seconds: float
) -> sa.RowMapping:
    """Holds a row for longer; raises StaleLease where the token holds it no more."""
    return await change_held(connection, table, key, token, {"lease_until": sa.func.now() + timedelta(seconds=seconds)})


async def change_held(
    connection: AsyncConnection, table: sa.Table, key: sa.ColumnElement[bool], token: int, values: dict[str, Any]
) -> sa.RowMapping:
    """Changes a row that is held under a token; raises StaleLease, and changes nothing, where it is not."""
    statement = sa.update(table).where(held(table, key, token)).values(**values).returning(table)
    row: sa.RowMapping | None = (await connection.execute(statement)).mappings().first()
    if row is None:
        raise StaleLease("the lease has lapsed or was taken by another; nothing was changed: take a new one")
    return row


RELEASED: dict[str, Any] = {"lease_owner": "", "lease_until": None}
