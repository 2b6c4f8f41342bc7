"""Draws the examples that a queue is to review, and finds the seeds that stood in their prompts.

An example's place follows from the random seed and its id alone. The draw is a simple random sample, and so is every
beginning of it: what the first reviews say is fair for the whole.
"""

import asyncio
import hashlib
from collections.abc import Iterable
from heapq import nsmallest

import pyarrow as pa
import pyarrow.compute as pc
from cultivar_artifacts import ArtifactStore, Manifest, load_manifest, read_shards
from cultivar_records import Example, from_table, holds_examples
from cultivar_service.errors import InvalidArgument

from cultivar_review.errors import ExamplesUnusable
from cultivar_review.queues import MOST_TASKS, QueueSpec


def place_of(random_seed: int, identifier: str) -> bytes:
    """Returns what examples are ordered by."""
    return hashlib.sha256(f"{random_seed}/{identifier}".encode()).digest()


async def draw(store: ArtifactStore, manifest: Manifest, spec: QueueSpec) -> list[Example]:
    """Returns the drawn examples in the order of their tasks; raises ExamplesUnusable or InvalidArgument."""
    if not spec.sample_size and manifest.rows > MOST_TASKS:
        raise InvalidArgument(
            f"spec.sample_size must be set: the artifact has {manifest.rows} rows, and a queue {MOST_TASKS} tasks at "
            "most",
            field="spec.sample_size",
        )
    places: dict[str, bytes] = {}
    async for table in read_shards(store, manifest):
        places |= await asyncio.to_thread(_places, table, spec.random_seed)
        places = _first(places, spec.sample_size)
    if not places:
        raise ExamplesUnusable("spec.examples holds no examples: name an artifact that does", field="spec.examples")
    drawn = await _pick(store, manifest, set(places))
    if any(example.task is not spec.task.kind for example in drawn):
        raise ExamplesUnusable(
            f"spec.examples holds examples of another task than {spec.task.kind.value}", field="spec.examples"
        )
    return sorted(drawn, key=lambda example: places[example.id])


async def seeds_of(store: ArtifactStore, project: str, spec: QueueSpec, drawn: Iterable[Example]) -> dict[str, Example]:
    """Returns, by id, the seeds that the drawn examples name and the queue's seeds hold."""
    if not spec.seeds:
        return {}
    manifest = await load_manifest(store, project, spec.seeds)
    wanted = {seed for example in drawn for seed in example.provenance.seeds}
    return {seed.id: seed for seed in await _pick(store, manifest, wanted)}


def _places(table: pa.Table, random_seed: int) -> dict[str, bytes]:
    if not holds_examples(table.column_names):
        raise ExamplesUnusable("spec.examples is an artifact of another kind: name one of examples")
    return {identifier: place_of(random_seed, identifier) for identifier in table["id"].to_pylist()}


def _first(places: dict[str, bytes], size: int) -> dict[str, bytes]:
    if not size or len(places) <= size:
        return places
    return dict(nsmallest(size, places.items(), key=lambda item: item[1]))


async def _pick(store: ArtifactStore, manifest: Manifest, wanted: set[str]) -> list[Example]:
    """Reads the examples of some ids, each once; no other row is decoded."""
    ids, found = pa.array(sorted(wanted), pa.string()), dict[str, Example]()
    async for table in read_shards(store, manifest):
        found |= await asyncio.to_thread(_decoded, table, ids)
    return list(found.values())


def _decoded(table: pa.Table, ids: pa.Array) -> dict[str, Example]:
    return {example.id: example for example in from_table(table.filter(pc.is_in(table["id"], ids)))}
