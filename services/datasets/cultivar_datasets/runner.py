"""What an import run does: rows in ranges, each committed with its bad rows, and one artifact a split at the end."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from cultivar_artifacts import ArtifactStore, File, split_rows
from cultivar_records import Example, UnreadableFile, to_table
from cultivar_service.artifacts import Output, artifact_name
from cultivar_service.holds import Hold, Settled
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_datasets.drawing import draw, wanted
from cultivar_datasets.errors import FileUnusable
from cultivar_datasets.rows import BAD_ROW_SCHEMA, Apart, Bad, assign_families, next_range, read_examples
from cultivar_datasets.sources import shards_of
from cultivar_datasets.specs import ImportSpec

BAD_ROWS = "bad_rows"
REPLAY = "replay"
FIRST_BAD = 100
MOST_LABELS = 1000


class ImportWork:
    """The work of an import run."""

    def __init__(self, store: ArtifactStore, folder: Path) -> None:
        self._store = store
        self._folder = folder

    async def advance(self, hold: Hold) -> None:
        """Reads every row that the cursor has not passed."""
        spec = ImportSpec.model_validate(hold.run.spec)
        await hold.report(stage="reading", unit="rows", now=True)
        with tempfile.TemporaryDirectory(prefix="import-", dir=self._folder) as folder:
            path = await self._store.local(hold.run.project, spec.source, Path(folder))
            apart = await self._apart(hold.run.project, spec)
            try:
                drawn = await asyncio.to_thread(draw, read_examples(path, spec, apart), spec)
                splits = await self._splits(wanted(read_examples(path, spec, apart), spec, drawn), spec)
                rows = wanted(read_examples(path, spec, apart), spec, drawn)
                await self._work_ranges(hold, rows, splits, spec)
            except UnreadableFile as error:
                raise FileUnusable(str(error)) from error
        check_whole(spec, hold.cursor)
        async with hold.commit(read=True):
            pass

    async def _apart(self, project: str, spec: ImportSpec) -> Apart:
        apart = Apart()
        for digest in spec.apart_from:
            async for examples in shards_of(self._store, project, digest):
                await asyncio.to_thread(apart.add, artifact_name(project, digest), examples)
        return apart

    async def _splits(self, rows: Iterator[Example | Bad], spec: ImportSpec) -> dict[str, str]:
        """Decides where each family goes; nothing to decide where there is one split."""
        if len(spec.splits) == 1:
            return {}
        return await asyncio.to_thread(assign_families, rows, spec)

    async def _work_ranges(
        self, hold: Hold, rows: Iterator[Example | Bad], splits: dict[str, str], spec: ImportSpec
    ) -> None:
        # Rows that were committed are read again for their families alone, so that a resumed run makes the same.
        passed = hold.cursor.get("next", 0)
        skipped = 0
        while taken := await asyncio.to_thread(next_range, rows):
            new = taken[max(0, passed - skipped) :]
            skipped += len(taken)
            if new:
                await self._commit_range(hold, new, splits, spec)

    async def _commit_range(
        self, hold: Hold, rows: Sequence[Example | Bad], splits: dict[str, str], spec: ImportSpec
    ) -> None:
        output, number = Output(self._store, hold), hold.cursor.get("parts", 0)
        tables = await asyncio.to_thread(tables_of, rows, splits, spec)
        parts: list[dict[str, File]] = []
        for kind, table in tables:
            parts.append(await output.put(kind, number + len(parts), table))
        cursor = counted(hold.cursor, rows, [(kind, table.num_rows) for kind, table in tables])
        check_labels(cursor)
        hold.progress |= {"stage": "reading", "unit": "rows", "done": cursor["next"], "counts": shown(cursor)}
        async with hold.commit(**cursor, parts=number + len(parts)) as connection:
            for place, files in enumerate(parts):
                await output.add(connection, number + place, files)

    async def settle(self, hold: Hold, connection: AsyncConnection) -> Settled:
        """Commits the artifact of each split and that of the bad rows; a cancelled run has none."""
        spec, cursor, output = hold.run.spec, hold.cursor, Output(self._store, hold)
        outputs = {"examples": cursor.get("examples", 0), "bad": cursor.get("bad", 0)}
        if not cursor.get("read"):
            return Settled(result={}, inputs=cursor.get("next", 0), outputs=outputs)
        parents = (spec["artifact"], *spec["apart_from"])
        kinds = [*(split["kind"] for split in spec["splits"]), *([BAD_ROWS] if cursor["bad"] else [])]
        made = {}
        for kind in kinds:
            made[kind] = (await output.commit(connection, kind, {**spec, "split": kind}, parents)).digest
        bad_rows = made.pop(BAD_ROWS, "")
        result = {"artifacts": made, "bad_rows": bad_rows, "by_label": cursor["by_label"]}
        return Settled(result=result, inputs=cursor["next"], outputs=outputs)


def tables_of(rows: Sequence[Example | Bad], splits: dict[str, str], spec: ImportSpec) -> list[tuple[str, pa.Table]]:
    """Returns what a range gives: the rows of each split and the bad rows, cut to fit a shard each."""
    only = spec.splits[0].kind
    examples: dict[str, list[Example]] = {split.kind: [] for split in spec.splits}
    for row in rows:
        if isinstance(row, Example):
            kind = splits.get(row.provenance.family, only)
            examples[kind].append(as_replay(row) if kind == REPLAY else row)
    bad = pa.Table.from_pylist([row.row() for row in rows if isinstance(row, Bad)], BAD_ROW_SCHEMA)
    whole = [*((kind, to_table(of_kind)) for kind, of_kind in examples.items()), (BAD_ROWS, bad)]
    return [(kind, piece) for kind, table in whole if table.num_rows for piece in split_rows(table)]


def as_replay(example: Example) -> Example:
    """Returns an example as one that only keeps a model from forgetting."""
    return example.model_copy(update={"provenance": example.provenance.model_copy(update={"origin": "replay"})})


def counted(cursor: dict[str, Any], rows: Sequence[Example | Bad], made: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Returns what the cursor says once some rows are committed; counts live in it so that none is made twice."""
    bad = [row for row in rows if isinstance(row, Bad)]
    labels = Counter(row.label or "" for row in rows if isinstance(row, Example))
    splits = Counter[str]()
    for kind, number in made:
        splits[kind] += number
    splits.pop(BAD_ROWS, None)
    return {
        "next": cursor.get("next", 0) + len(rows),
        "examples": cursor.get("examples", 0) + len(rows) - len(bad),
        "bad": cursor.get("bad", 0) + len(bad),
        "repeats": cursor.get("repeats", 0) + sum(row.repeats for row in bad),
        "first_bad": [*cursor.get("first_bad", ()), *(row.row() for row in bad)][:FIRST_BAD],
        "by_label": dict(Counter(cursor.get("by_label", {})) + labels),
        "splits": dict(Counter(cursor.get("splits", {})) + splits),
    }


def shown(cursor: dict[str, Any]) -> dict[str, int]:
    """Returns the counts that progress shows."""
    return {"examples": cursor["examples"], "bad": cursor["bad"], **cursor["splits"]}


def check_labels(cursor: dict[str, Any]) -> None:
    """Raises FileUnusable for more labels than a task can have, which is another column taken for the label."""
    if len(cursor["by_label"]) > MOST_LABELS:
        raise FileUnusable(f"the file has over {MOST_LABELS} different labels: name the task's labels, or another kind")


def check_whole(spec: ImportSpec, cursor: dict[str, Any]) -> None:
    """Raises FileUnusable where the file gives nothing, too little for its splits, or a bad row that may not be."""
    rows, bad, repeats = (cursor.get(name, 0) for name in ("next", "bad", "repeats"))
    if not rows:
        raise FileUnusable("the file has no rows: bring one with at least one example")
    first = f"line {cursor['first_bad'][0]['line']}: {cursor['first_bad'][0]['reason']}" if bad else ""
    if repeats == rows:
        raise FileUnusable(
            f"each of the {rows} rows repeats an example of the artifacts to stay apart from (apart_from): bring others"
        )
    if bad == rows:
        raise FileUnusable(f"none of the {rows} rows of the file can be used; the first, {first}")
    if bad and spec.all_or_nothing:
        raise FileUnusable(f"{bad} of {rows} rows are bad and all_or_nothing is set; the first, {first}")
    empty = [split.kind for split in spec.splits if not cursor["splits"].get(split.kind)]
    if empty:
        raise FileUnusable(
            f"no example is left for the split {empty[0]!r}: bring more rows, or ask for fewer splits or a larger share"
        )
