"""Artifacts of examples, read a shard at a time."""

import asyncio
from collections.abc import AsyncIterator

import pyarrow as pa
from cultivar_artifacts import ArtifactStore, Manifest, load_manifest, read_shards
from cultivar_records import Example, from_table, holds_examples, with_all_columns
from cultivar_service.artifacts import artifact_name

from cultivar_datasets.errors import SourceUnusable


async def example_tables(store: ArtifactStore, manifest: Manifest) -> AsyncIterator[pa.Table]:
    """Yields the shards of an artifact; raises SourceUnusable where its rows are no examples."""
    async for table in read_shards(store, manifest):
        if not holds_examples(table.column_names):
            name = artifact_name(manifest.project, manifest.digest)
            raise SourceUnusable(f"{name} is of kind {manifest.kind!r} and holds no examples: name another artifact")
        yield with_all_columns(table)


async def example_shards(store: ArtifactStore, manifest: Manifest) -> AsyncIterator[list[Example]]:
    """Yields the examples of an artifact, a shard at a time; raises SourceUnusable where its rows are none."""
    async for table in example_tables(store, manifest):
        yield await asyncio.to_thread(listed, table)


async def shards_of(store: ArtifactStore, project: str, digest: str) -> AsyncIterator[list[Example]]:
    """Yields the examples of the artifact of a digest, a shard at a time."""
    async for examples in example_shards(store, await load_manifest(store, project, digest)):
        yield examples


def listed(table: pa.Table) -> list[Example]:
    """Returns the examples of a table."""
    return list(from_table(table))
