"""What a run that ended early leaves for a retry: the shards that it committed, and the answers that it recorded."""

from datetime import timedelta

import sqlalchemy as sa
from cultivar_artifacts.tables import drop_parts
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_service import tables

KEPT = timedelta(days=7)
OLD = tables.run.c.end_time < sa.func.now() - KEPT
"""Whether a run ended so long ago that what it left is gone, or may be."""


async def drop(connection: AsyncConnection, run: str) -> None:
    """Forgets what a run left; its manifests name what is to be kept."""
    await connection.execute(sa.delete(tables.answer).where(tables.answer.c.run == run))
    await drop_parts(connection, run)


async def drop_old(connection: AsyncConnection, kind: str) -> None:
    """Forgets what runs of a kind left that ended over 7 days ago."""
    old = sa.select(tables.run.c.id).where(tables.run.c.kind == kind, OLD)
    await connection.execute(sa.delete(tables.answer).where(tables.answer.c.run.in_(old)))
    await drop_parts(connection, old)
