"""Lineage: an example back to its seed, and forward to the artifacts that hold it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cultivar_artifacts import ArtifactStore, Manifest, load_manifest
from cultivar_artifacts.rows import find_row
from cultivar_artifacts.tables import Committed, list_manifests
from cultivar_records import Example
from cultivar_service.database import Database
from pydantic import ValidationError

from cultivar_datasets import store as tables
from cultivar_datasets.errors import ExampleUnknown

PAGE = 500
AT_ONCE = 8


@dataclass(frozen=True)
class Held:
    """An artifact that holds an example, and the example as it holds it."""

    artifact: Committed
    example: Example


@dataclass(frozen=True)
class Traced:
    """Where an example came from and where it is, the oldest artifact first."""

    held: Sequence[Held]
    seed: Example | None
    file: tables.FileRow | None
    versions: Sequence[tables.Version]


class Tracer:
    """Walks the manifests of a project by their ranges of ids."""

    def __init__(self, database: Database, store: ArtifactStore) -> None:
        self._database = database
        self._store = store
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def trace(self, project: str, example_id: str) -> Traced:
        """Follows an example; raises ExampleUnknown where no artifact holds it."""
        manifests = await self._manifests(project)
        held = await self._holding(manifests, example_id)
        if not held:
            raise ExampleUnknown(example_id, project)
        seed = await self._seed(manifests, held[0].example)
        async with self._database.begin() as connection:
            source = seed.provenance.source if seed is not None else ""
            file = await tables.find_file(connection, project, source) if source else None
            digests = [one.artifact.digest for one in held]
            versions = await tables.versions_of(connection, project, digests)
        return Traced(held, seed, file, versions)

    async def _manifests(self, project: str) -> list[tuple[Committed, Manifest]]:
        rows: list[Committed] = []
        async with self._database.begin() as connection:
            while page := await list_manifests(connection, project, before=rows[-1] if rows else None, limit=PAGE):
                rows += page
        rows.reverse()
        loaded = await asyncio.gather(*(self._load(project, row.digest) for row in rows))
        return list(zip(rows, loaded, strict=True))

    async def _load(self, project: str, digest: str) -> Manifest:
        async with self._turns:
            return await load_manifest(self._store, project, digest)

    async def _holding(self, manifests: Sequence[tuple[Committed, Manifest]], example_id: str) -> list[Held]:
        found = await asyncio.gather(*(self._find(manifest, example_id) for _, manifest in manifests))
        pairs = zip(manifests, found, strict=True)
        return [Held(row, example) for (row, _), example in pairs if example is not None]

    async def _find(self, manifest: Manifest, example_id: str) -> Example | None:
        async with self._turns:
            row = await find_row(self._store, manifest, example_id)
        return read_row(row) if row is not None else None

    async def _seed(self, manifests: Sequence[tuple[Committed, Manifest]], example: Example) -> Example | None:
        """Returns the seed of an example's family, from the oldest artifact that holds it."""
        family = example.provenance.family
        if family == example.id:
            return example
        if not is_example_id(family):
            return None
        for _, manifest in manifests:
            if (seed := await self._find(manifest, family)) is not None:
                return seed
        return None


def read_row(row: dict[str, Any]) -> Example | None:
    """Returns the example of a row; None for a row of another form that has the same id."""
    try:
        return Example.model_validate({name: row[name] for name in Example.model_fields if name in row})
    except (KeyError, ValidationError):
        return None


def is_example_id(text: str) -> bool:
    """Tells whether a text is 32 lower-case hexadecimal digits."""
    return len(text) == 32 and set(text) <= set("0123456789abcdef")
