"""Why a run kept or rejected one example, found in its artifacts."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from cultivar_artifacts import ArtifactStore, Manifest, decode_shard, load_manifest
from cultivar_records import Example, Verdict, from_table, from_verdict_table
from cultivar_service.errors import InvalidArgument
from cultivar_service.runs import Run

from cultivar_filtering.errors import ExampleUnknown, NotExplainable
from cultivar_filtering.sieve import Outcome, outcome_of
from cultivar_filtering.sifting import VERDICTS

EXAMPLE_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Explanation:
    """Where an example ended, and the verdicts that led there, in order."""

    outcome: Outcome
    verdicts: Sequence[Verdict]
    example: Example


class Explainer:
    """Finds one example in what runs have written; shards are told apart by the ids they hold."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def explain(self, run: Run, name: str, example_id: str) -> Explanation:
        """Explains an example; raises InvalidArgument, NotExplainable or ExampleUnknown."""
        if not EXAMPLE_ID.fullmatch(example_id):
            raise InvalidArgument(
                f"example_id must be 32 hexadecimal digits, got {example_id[:80]!r}", field="example_id"
            )
        if VERDICTS not in run.result:
            raise NotExplainable(name, run.state)
        verdicts = await self._rows(run, VERDICTS, "example", example_id)
        if not verdicts.num_rows:
            raise ExampleUnknown(name, example_id)
        found = list(from_verdict_table(verdicts))
        outcome = outcome_of(found)
        row = await self._rows(run, outcome.value, "id", example_id)
        return Explanation(outcome, found, next(from_table(row)))

    async def _rows(self, run: Run, kind: str, column: str, example_id: str) -> pa.Table:
        manifest: Manifest = await load_manifest(self._store, run.project, run.result[kind])
        tables = [
            await asyncio.to_thread(rows_of, await self._store.read(run.project, file.sha256), column, example_id)
            for file in manifest.files
            if file.first_id <= example_id <= file.last_id
        ]
        return pa.concat_tables(tables) if tables else pa.table({column: pa.array([], pa.string())})


def rows_of(data: bytes, column: str, example_id: str) -> pa.Table:
    """Returns the rows of a shard that are of one example, in their order."""
    table = decode_shard(data)
    return table.filter(pc.equal(table[column], example_id))
