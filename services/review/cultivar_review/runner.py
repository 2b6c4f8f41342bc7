"""What closing a queue does: each shard of the examples is parted by what the reviews say, and committed in order."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from cultivar_artifacts import ArtifactStore, File, decode_shard, load_manifest
from cultivar_records import from_table, to_table
from cultivar_service.artifacts import Output
from cultivar_service.database import Database
from cultivar_service.holds import Hold, Settled
from cultivar_service.principal import Principal
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_review import store as tables
from cultivar_review.queues import Queue
from cultivar_review.reviews import Reviewed, edited

ACCEPTED, DECLINED, UNREVIEWED, REVIEWS = tables.OUTPUTS

REVIEW_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("decision", pa.string(), nullable=False),
        pa.field("scores", pa.list_(pa.struct([("criterion", pa.string()), ("score", pa.int64())])), nullable=False),
        pa.field("edited_text", pa.string(), nullable=False),
        pa.field("edited_answer", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("tags", pa.list_(pa.string()), nullable=False),
        pa.field("comment", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("program", pa.string(), nullable=False),
        pa.field("reviewer", pa.string(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("submit_time", pa.string(), nullable=False),
    ]
)


class ClosingWork:
    """The work of closing a queue."""

    def __init__(self, database: Database, store: ArtifactStore) -> None:
        self._database = database
        self._store = store

    async def advance(self, hold: Hold) -> None:
        """Lets the queue take no more reviews, then parts every shard that the cursor has not passed."""
        async with hold.commit() as connection:
            queue = await tables.begin_close(connection, Principal(hold.run.principal), hold.run.spec["queue"])
        manifest = await load_manifest(self._store, queue.project, queue.spec.examples)
        shards = [file for file in manifest.files if file.rows_digest]
        await hold.report(stage="parting", total=manifest.rows, unit="examples", now=True)
        for number in range(hold.cursor.get("next", 0), len(shards)):
            data = await self._store.read(queue.project, shards[number].sha256)
            await self._part_shard(hold, queue, number, await asyncio.to_thread(decode_shard, data))

    async def _part_shard(self, hold: Hold, queue: Queue, number: int, table: pa.Table) -> None:
        async with self._database.begin() as connection:
            reviews = await tables.reviews_of(connection, queue.name, table["id"].to_pylist())
        parts = await asyncio.to_thread(part, table, reviews)
        output, files = Output(self._store, hold), dict[str, File]()
        for kind, rows in parts.items():
            files |= await output.put(kind, number, rows)
        counts = {kind: rows.num_rows for kind, rows in parts.items()}
        async with hold.commit(add=counts, next=number + 1) as connection:
            await output.add(connection, number, files)
        await hold.report(done=sum(hold.progress["counts"][kind] for kind in (ACCEPTED, DECLINED, UNREVIEWED)))

    async def settle(self, hold: Hold, connection: AsyncConnection) -> Settled:
        """Commits the four manifests and closes the queue; each example ended accepted, declined or unreviewed."""
        queue, output = await tables.get_queue(connection, hold.run.spec["queue"]), Output(self._store, hold)
        config: dict[str, JsonValue] = {"queue": queue.name, **queue.spec.model_dump(mode="json")}
        parents = (queue.spec.examples,)
        reviews = await output.commit(connection, REVIEWS, config, parents)
        digests, rows = {REVIEWS: reviews.digest}, {}
        for kind in (ACCEPTED, DECLINED, UNREVIEWED):
            made = await output.commit(connection, kind, config, (*parents, reviews.digest))
            digests[kind], rows[kind] = made.digest, made.rows
        await tables.end_close(connection, queue.name, digests)
        return Settled(result=digests, inputs=queue.examples, outputs=rows)


def part(table: pa.Table, reviews: Mapping[str, Reviewed]) -> dict[str, pa.Table]:
    """Parts a shard by what its reviews decide, with their edits applied; the fourth part has the reviews' own rows."""
    told = pc.is_in(table["id"], pa.array(list(reviews), pa.string()))
    examples = list(from_table(table.filter(told)))
    accepted = [example for example in examples if reviews[example.id].review.decision == "accept"]
    declined = [example for example in examples if reviews[example.id].review.decision == "decline"]
    changed = [edited(one, reviews[one.id].review, reviews[one.id].reviewer) for one in accepted]
    return {
        ACCEPTED: to_table(changed),
        DECLINED: to_table(declined),
        UNREVIEWED: table.filter(pc.invert(told)),
        REVIEWS: pa.Table.from_pylist([row(reviews[name]) for name in sorted(reviews)], REVIEW_SCHEMA),
    }


def row(reviewed: Reviewed) -> dict[str, Any]:
    """Returns the row of a review."""
    said = reviewed.review.model_dump(mode="json")
    scores = [{"criterion": criterion, "score": score} for criterion, score in sorted(said["scores"].items())]
    return {
        **said,
        "scores": scores,
        "id": reviewed.example,
        "reviewer": reviewed.reviewer,
        "seconds": round(reviewed.seconds, 3),
        "submit_time": reviewed.submit_time.isoformat(),
    }
