"""What the making of a dataset version does: it reads the sources, selects, and writes the chosen rows sorted by id."""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from cultivar_artifacts import ArtifactStore, File, Manifest, load_manifest, read_shards, split_rows
from cultivar_artifacts.atomic import disk_errors
from cultivar_records import EXAMPLE_SCHEMA, Example, disallowed, licences_of
from cultivar_service.artifacts import Output
from cultivar_service.database import Database
from cultivar_service.holds import Hold, Settled
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_datasets import store as tables
from cultivar_datasets.card import write_card
from cultivar_datasets.errors import SourceUnusable
from cultivar_datasets.leaks import HeldOut
from cultivar_datasets.scores import read_scores
from cultivar_datasets.selection import Pool, Selection, select
from cultivar_datasets.selectors import Choice
from cultivar_datasets.sources import example_shards, example_tables
from cultivar_datasets.specs import Source, VersionSpec

DATASET = "dataset"
CHAT, CARD = "chat.jsonl", "README.md"
ACCEPTED = "accepted"
GROUP_ROWS = 32_768
# Files beside the shards come after them, however many shards there are.
CHAT_NUMBER, CARD_NUMBER = 1_000_000, 1_000_001


class VersionWork:
    """The work of making a dataset version."""

    def __init__(self, database: Database, store: ArtifactStore, folder: Path) -> None:
        self._database = database
        self._store = store
        self._folder = folder

    async def advance(self, hold: Hold) -> None:
        """Selects, the same at each attempt, and writes every group that the cursor has not passed."""
        if hold.cursor.get("counts") is not None:
            return
        spec, project = VersionSpec.model_validate(hold.run.spec), hold.run.project
        await hold.report(stage="reading sources", unit="examples", now=True)
        manifests = [await load_manifest(self._store, project, source.artifact) for source in spec.sources]
        held_out = await HeldOut.read(self._store, project, spec.held_out)
        pool = await self._pool(hold, spec, manifests, held_out)
        selection = await asyncio.to_thread(select, spec, pool)
        check_left(pool, selection)
        await self._write(hold, manifests, selection)
        await self._finish(hold, spec, pool, selection)

    async def _pool(self, hold: Hold, spec: VersionSpec, manifests: Sequence[Manifest], held_out: HeldOut) -> Pool:
        pool, seen = Pool([]), set[str]()
        for source, manifest in zip(spec.sources, manifests, strict=True):
            scores = await read_scores(self._store, hold.run.project, source.scores)
            choices: list[Choice] = []
            async for examples in example_shards(self._store, manifest):
                check_answered(examples)
                pool.rows += len(examples)
                new = [example for example in examples if example.id not in seen]
                seen.update(example.id for example in new)
                pool.repeated += len(examples) - len(new)
                usable = [example for example in new if may_be_used(example, spec.licences)]
                pool.unlicensed += len(new) - len(usable)
                clean = await asyncio.to_thread(held_out.without_leaks, usable)
                pool.leaked += len(usable) - len(clean)
                reviewed = manifest.kind == ACCEPTED
                choices += [choice_of(example, source, reviewed, scores.get(example.id)) for example in clean]
                await hold.report(done=pool.rows)
            pool.choices.append(choices)
        return pool

    async def _write(self, hold: Hold, manifests: Sequence[Manifest], selection: Selection) -> None:
        ids, output = sorted(selection.chosen), Output(self._store, hold)
        for start in range(hold.cursor.get("next", 0), len(ids), GROUP_ROWS):
            group = ids[start : start + GROUP_ROWS]
            await hold.report(stage="writing", done=start, total=len(ids), now=True)
            table = await self._rows(manifests, {example: selection.chosen[example] for example in group})
            first, parts = hold.cursor.get("parts", 0), list[dict[str, File]]()
            for piece in await asyncio.to_thread(pieces, table):
                parts.append(await output.put(DATASET, first + len(parts), piece))
            async with hold.commit(next=start + len(group), parts=first + len(parts)) as connection:
                for place, files in enumerate(parts):
                    await output.add(connection, first + place, files)

    async def _rows(self, manifests: Sequence[Manifest], sources: dict[str, int]) -> pa.Table:
        """Reads the rows of some ids, each from its source."""
        found = [EXAMPLE_SCHEMA.empty_table()]
        for number, manifest in enumerate(manifests):
            wanted = pa.array([example for example, source in sources.items() if source == number], pa.string())
            async for table in example_tables(self._store, manifest):
                found.append(table.filter(pc.is_in(table["id"], value_set=wanted)))
        return pa.concat_tables(found)

    async def _finish(self, hold: Hold, spec: VersionSpec, pool: Pool, selection: Selection) -> None:
        """Adds the chat file and the card, and says in the cursor what was taken and what was not."""
        project, output = hold.run.project, Output(self._store, hold)
        async with self._database.begin() as connection:
            number = await tables.number_version(connection, project, spec.dataset, hold.run.id)
            files = await output.files(connection, DATASET)
        chosen = len(selection.chosen)
        counts = {
            "selected": chosen,
            "not_selected": pool.rows - pool.leaked - pool.repeated - pool.unlicensed - chosen,
            "leaked": pool.leaked,
            "repeated": pool.repeated,
            **({"unlicensed": pool.unlicensed} if spec.licences else {}),
        }
        card = write_card(project, spec, number, selection, counts)
        extra = {CHAT_NUMBER: await self._chat(project, files), CARD_NUMBER: await self._card(project, card)}
        taken = {
            "by_role": dict(selection.by_role),
            "by_label": dict(selection.by_label),
            "by_licence": dict(selection.by_licence),
            "by_source": {spec.sources[place].artifact: count for place, count in selection.by_source.items()},
            "card": card,
        }
        hold.progress |= {"stage": "done", "done": chosen, "total": chosen, "counts": counts}
        async with hold.commit(counts=counts, taken=taken) as connection:
            for place, file in extra.items():
                await output.add(connection, place, {DATASET: file})

    async def _chat(self, project: str, files: Sequence[File]) -> File:
        """Stores the rows in the chat form that training programs take, in the order of the shards."""
        manifest = Manifest(project=project, kind=DATASET, rows=sum(file.rows for file in files), files=tuple(files))
        with tempfile.TemporaryDirectory(prefix="version-", dir=self._folder) as folder:
            path = Path(folder) / CHAT
            with disk_errors(self._folder), path.open("w", encoding="utf-8", newline="\n") as file:
                async for table in read_shards(self._store, manifest):
                    await asyncio.to_thread(file.writelines, chat_lines(table))
            blob = await self._store.put(project, path)
        return File(name=CHAT, sha256=blob.sha256, size=blob.size)

    async def _card(self, project: str, card: str) -> File:
        blob = await self._store.put(project, card.encode())
        return File(name=CARD, sha256=blob.sha256, size=blob.size)

    async def settle(self, hold: Hold, connection: AsyncConnection) -> Settled:
        """Commits the version's artifact; a cancelled one has none."""
        spec = VersionSpec.model_validate(hold.run.spec)
        counts = hold.cursor.get("counts")
        if counts is None:
            return Settled(result={})
        output = Output(self._store, hold)
        manifest = await output.commit(connection, DATASET, hold.run.spec, spec.parents)
        result = {"artifact": manifest.digest, "examples": manifest.rows, **hold.cursor["taken"]}
        return Settled(result=result, inputs=sum(counts.values()), outputs=counts)


def pieces(table: pa.Table) -> list[pa.Table]:
    """Sorts rows by id and cuts them to fit a shard each."""
    return list(split_rows(table))


def choice_of(example: Example, source: Source, reviewed: bool, score: float | None) -> Choice:
    """Returns an example as selectors see it."""
    return Choice(
        id=example.id,
        label=example.label or "",
        role=source.role,
        family=example.provenance.family,
        reviewed=reviewed or bool(example.provenance.edited_by),
        score=score,
        licences=licences_of(example),
    )


def may_be_used(example: Example, allowed: Sequence[str]) -> bool:
    """Tells whether every licence of an example is among those allowed; where none is named, all are."""
    return not allowed or not disallowed(licences_of(example), allowed)


def check_answered(examples: Sequence[Example]) -> None:
    """Raises SourceUnusable where an example has no answer to learn."""
    if any(not example.answer.strip() for example in examples):
        raise SourceUnusable("a source holds inputs without answers: write answers to them with the strategy answer")


def check_left(pool: Pool, selection: Selection) -> None:
    """Raises SourceUnusable where nothing is left to make a version of."""
    if selection.chosen:
        return
    if not pool.rows:
        raise SourceUnusable("the sources hold no examples: name artifacts with rows")
    licences = f", {pool.unlicensed} have other licences than those named" if pool.unlicensed else ""
    raise SourceUnusable(
        f"of {pool.rows} examples none is left: {pool.leaked} leak from the held-out artifacts and {pool.repeated} are "
        f"repeated{licences}; name other sources or a larger budget"
    )


def chat_lines(table: pa.Table) -> list[str]:
    """Returns each row as one line of JSON with `messages`, the form that TRL and others take.

    A row that has `evidence` or a `rejected` answer has these beside them.
    """
    rows: list[dict[str, Any]] = table.select(["messages", "evidence", "rejected"]).to_pylist()
    given = ({name: value for name, value in row.items() if value or name == "messages"} for row in rows)
    return [json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in given]
