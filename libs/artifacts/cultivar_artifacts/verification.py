"""Verification: every digest of a manifest, computed again from what is stored."""

import asyncio
from dataclasses import dataclass

from cultivar_artifacts.errors import ArtifactInvalid, ArtifactMissing, CorruptArtifact
from cultivar_artifacts.manifests import File, Manifest, load_manifest
from cultivar_artifacts.shards import decode_shard, rows_digest
from cultivar_artifacts.store import ArtifactStore

DOCUMENT = "manifest.json"
"""The name under which a problem with the manifest's own document is reported."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Says which file of a manifest does not hold what the manifest says, and why."""

    file: str
    reason: str


async def verify(store: ArtifactStore, manifest: Manifest) -> tuple[Problem, ...]:
    """Recomputes the manifest's digest, every file's digest and size, and every shard's rows; no problem is `()`.

    A store that cannot be reached raises `StoreUnavailable`: that says nothing about what it keeps.
    """
    problems = []
    try:
        await load_manifest(store, manifest.project, manifest.digest)
    except (ArtifactMissing, CorruptArtifact) as error:
        problems.append(Problem(DOCUMENT, str(error)))
    for file in manifest.files:
        try:
            reason = await (_check_shard if file.rows_digest else _check_bytes)(store, manifest.project, file)
        except (ArtifactMissing, CorruptArtifact, ArtifactInvalid) as error:
            reason = str(error)
        if reason:
            problems.append(Problem(file.name, reason))
    return tuple(problems)


async def _check_bytes(store: ArtifactStore, project: str, file: File) -> str:
    size = 0
    async for piece in store.stream(project, file.sha256):
        size += len(piece)
    return "" if size == file.size else f"it has {size} bytes, the manifest says {file.size}"


async def _check_shard(store: ArtifactStore, project: str, file: File) -> str:
    data = await store.read(project, file.sha256)
    table = await asyncio.to_thread(decode_shard, data)
    if (len(data), table.num_rows) != (file.size, file.rows):
        return f"it has {len(data)} bytes and {table.num_rows} rows, the manifest says {file.size} and {file.rows}"
    found = await asyncio.to_thread(rows_digest, table)
    return "" if found == file.rows_digest else f"its rows have digest {found}, the manifest says {file.rows_digest}"
