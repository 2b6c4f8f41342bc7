"""How two dataset versions differ, example by example."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
from cultivar_artifacts import ArtifactStore, Manifest
from cultivar_records import from_table

from cultivar_datasets.sources import example_tables

MOST_IDS = 100


@dataclass(frozen=True)
class Diff:
    """The ids that only one of two versions has or that differ, sorted, and how many more of each label."""

    same: int
    added: list[str]
    removed: list[str]
    changed: list[str]
    by_label: dict[str, int]


Rows = dict[str, tuple[bytes, str]]


async def diff(store: ArtifactStore, first: Manifest, second: Manifest) -> Diff:
    """Compares the rows of two versions by id and content."""
    before, after = await read(store, first), await read(store, second)
    shared = before.keys() & after.keys()
    changed = sorted(example for example in shared if before[example][0] != after[example][0])
    labels = Counter(label for _, label in after.values())
    labels.subtract(label for _, label in before.values())
    return Diff(
        same=len(shared) - len(changed),
        added=sorted(after.keys() - before.keys()),
        removed=sorted(before.keys() - after.keys()),
        changed=changed,
        by_label={label: count for label, count in labels.items() if count},
    )


async def read(store: ArtifactStore, manifest: Manifest) -> Rows:
    """Reads the digest of content and the label of each row, by id."""
    rows: Rows = {}
    async for table in example_tables(store, manifest):
        rows |= await asyncio.to_thread(digests, table)
    return rows


def digests(table: pa.Table) -> Rows:
    """Returns the digest of content and the label of each row of a table, by id."""
    return {example.id: (bytes.fromhex(example.digest()[:32]), example.label or "") for example in from_table(table)}
