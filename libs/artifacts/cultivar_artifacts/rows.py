"""Single rows: one id out of a manifest's shards, found by row-group statistics through DuckDB."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from cultivar_artifacts.manifests import File, Manifest
from cultivar_artifacts.store import ArtifactStore

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "threads": 1,
}


async def find_row(
    store: ArtifactStore, manifest: Manifest, id: str, cache: Path | None = None
) -> dict[str, Any] | None:
    """Finds the row with this `id` in a manifest's shards, None if there is none.

    Only shards whose range of ids holds it are read, each checked against its digest. Shards of a store that is not a
    folder are copied into `cache`, which the caller owns and may empty, or into a folder that is gone afterwards.
    """
    files = [file for file in manifest.files if file.rows_digest and file.first_id <= id <= file.last_id]
    if cache is not None:
        return await _find(store, manifest.project, files, id, cache)
    with tempfile.TemporaryDirectory(prefix="cultivar-rows-") as folder:
        return await _find(store, manifest.project, files, id, Path(folder))


async def _find(store: ArtifactStore, project: str, files: list[File], id: str, folder: Path) -> dict[str, Any] | None:
    for file in files:
        path = await store.local(project, file.sha256, folder)
        if row := await asyncio.to_thread(_row, path, id):
            return row
    return None


def _row(path: Path, id: str) -> dict[str, Any] | None:
    # Rows about examples, such as verdicts, lie by the ids of these too, and have none of their own.
    if "id" not in pq.read_schema(path).names:
        return None
    with duckdb.connect(config=_CONFIG) as connection:
        found = connection.sql("SELECT * FROM read_parquet(?) WHERE id = ? LIMIT 1", params=[str(path), id])
        rows: list[dict[str, Any]] = found.to_arrow_table().to_pylist()
    return rows[0] if rows else None
