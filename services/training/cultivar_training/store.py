"""Adapters as the tables have them: rows of the shared artifact schema, each made by a run of this service."""

import sqlalchemy as sa
from cultivar_artifacts.tables import Committed, find_manifest, list_manifests
from cultivar_service import tables
from cultivar_service.artifacts import artifact_name
from cultivar_service.paging import Page, decode_token, encode_token
from cultivar_service.runs import Run
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_training.errors import AdapterUnknown

ADAPTER = "adapter"


async def get_adapter(connection: AsyncConnection, project: str, digest: str) -> tuple[Committed, Run]:
    """Returns an adapter and its run; raises AdapterUnknown for what is none, or was erased."""
    committed = await find_manifest(connection, project, digest)
    if committed is None or committed.kind != ADAPTER or committed.erased_at is not None:
        raise AdapterUnknown(artifact_name(project, digest))
    runs = await runs_of(connection, project, [committed])
    if not runs:
        raise AdapterUnknown(artifact_name(project, digest))
    return runs[0]


async def list_adapters(
    connection: AsyncConnection, project: str, size: int, page_token: str
) -> Page[tuple[Committed, Run]]:
    """Returns a page of the adapters of a project, the newest first."""
    last = decode_token(page_token, ADAPTER)
    before = await find_manifest(connection, project, last) if last else None
    found = await list_manifests(connection, project, ADAPTER, before=before, limit=size + 1)
    token = encode_token(found[size - 1].digest, ADAPTER) if len(found) > size else ""
    return Page(await runs_of(connection, project, found[:size]), token)


async def runs_of(
    connection: AsyncConnection, project: str, adapters: list[Committed] | tuple[Committed, ...]
) -> list[tuple[Committed, Run]]:
    """Returns adapters with the runs that made them; one that no run of this service made is left out."""
    made_by = tables.run.c.project == project, tables.run.c.id.in_([adapter.run for adapter in adapters])
    rows = (await connection.execute(sa.select(tables.run).where(*made_by))).mappings()
    runs = {row["id"]: Run.of(row) for row in rows}
    return [(adapter, runs[adapter.run]) for adapter in adapters if adapter.run in runs]


async def open_runs(connection: AsyncConnection) -> set[str]:
    """Returns the ids of the runs that have not ended."""
    return set((await connection.execute(sa.select(tables.run.c.id).where(tables.run.c.end_time.is_(None)))).scalars())


async def succeeded_runs(connection: AsyncConnection, project: str) -> list[Run]:
    """Returns the runs of a project that have an adapter."""
    mine = tables.run.c.project == project, tables.run.c.state == "SUCCEEDED"
    return [Run.of(row) for row in (await connection.execute(sa.select(tables.run).where(*mine))).mappings()]
