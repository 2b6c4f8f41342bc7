"""What a filter run does: ranges of examples through the worker process, each committed in order."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from cultivar_artifacts import ArtifactStore, File, load_manifest, put_shard
from cultivar_service.artifacts import Output
from cultivar_service.database import Database
from cultivar_service.errors import Unavailable
from cultivar_service.holds import Hold, Settled
from cultivar_service.parts import Models
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_filtering.ahead import one_ahead
from cultivar_filtering.embedding import Embedding
from cultivar_filtering.errors import ExamplesUnusable
from cultivar_filtering.filters.vectors import Embedded
from cultivar_filtering.plan import RunSpec
from cultivar_filtering.sieve import Outcome
from cultivar_filtering.sifting import (
    VERDICTS,
    Opening,
    RowsUnusable,
    Sifted,
    SiftingLost,
    close_sifting,
    open_sifting,
    recall,
    sift,
    texts_of,
    upcoming,
)
from cultivar_filtering.worker import Worker

KINDS = (*(outcome.value for outcome in Outcome), VERDICTS)


class FilterWork:
    """The work of a filter run."""

    def __init__(self, database: Database, store: ArtifactStore, models: Models, worker: Worker) -> None:
        self._database = database
        self._store = store
        self._models = models
        self._worker = worker

    async def advance(self, hold: Hold) -> None:
        """Judges every example that the cursor has not passed."""
        spec = RunSpec.model_validate(hold.run.spec)
        await hold.report(stage="sorting", unit="examples", now=True)
        key = f"{hold.run.id}-{hold.run.lease_token}"
        folder = self._worker.folder / key
        try:
            async with Embedding(self._models, spec.models) as embedding:
                opening = await self._opening(hold, spec, folder, embedding)
                total = await self._worker.call(open_sifting, key, opening)
                await hold.report(stage="filtering", total=total, now=True)
                await self._recall(hold, key, folder, embedding)
                await self._sift(hold, key, embedding)
        except RowsUnusable as error:
            raise ExamplesUnusable(f"artifact {spec.examples} cannot be filtered: {error}") from error
        except SiftingLost as error:
            raise Unavailable("the worker process of filtering was started anew: the run goes on in it") from error
        finally:
            self._worker.post(close_sifting, key, folder)

    async def _opening(self, hold: Hold, spec: RunSpec, folder: Path, embedding: Embedding) -> Opening:
        project = hold.run.project
        await asyncio.to_thread(folder.mkdir, exist_ok=True)
        seeds = await self._local(project, await self._files(project, spec.seeds), folder)
        return Opening(
            task=spec.task,
            uses=spec.uses,
            examples=await self._local(project, await self._files(project, spec.examples), folder),
            seeds=seeds,
            held_out=await self._local(project, await self._files(project, *spec.held_out), folder),
            start=hold.cursor.get("next", 0),
            folder=folder,
            embedded=await self._embedded(seeds, embedding),
        )

    async def _files(self, project: str, *digests: str) -> list[File]:
        manifests = [await load_manifest(self._store, project, digest) for digest in digests if digest]
        return [file for manifest in manifests for file in manifest.files if file.rows_digest and file.rows]

    async def _local(self, project: str, files: Sequence[File], folder: Path) -> tuple[Path, ...]:
        return tuple([await self._store.local(project, file.sha256, folder) for file in files])

    async def _embedded(self, shards: Sequence[Path], embedding: Embedding) -> Embedded:
        return await embedding.embed(await self._worker.call(texts_of, shards)) if embedding.models else {}

    async def _recall(self, hold: Hold, key: str, folder: Path, embedding: Embedding) -> None:
        async with self._database.begin() as connection:
            kept = await Output(self._store, hold).files(connection, Outcome.KEPT)
        for file in kept:
            shards = await self._local(hold.run.project, [file], folder)
            await self._worker.call(recall, key, shards[0], await self._embedded(shards, embedding))

    async def _sift(self, hold: Hold, key: str, embedding: Embedding) -> None:
        """Commits each range while the worker is at the next, and the models are at the one after."""
        async with aclosing(one_ahead(self._sifted(key, embedding))) as ranges:
            async for sifted in ranges:
                await self._commit(hold, sifted, embedding)

    async def _sifted(self, key: str, embedding: Embedding) -> AsyncGenerator[Sifted, None]:
        async with aclosing(one_ahead(self._vectors(key, embedding))) as vectors:
            async for embedded in vectors:
                sifted = await self._worker.call(sift, key, embedded)
                if sifted is None:
                    return
                yield sifted

    async def _vectors(self, key: str, embedding: Embedding) -> AsyncGenerator[Embedded, None]:
        while not embedding.models:
            yield {}
        while (texts := await self._worker.call(upcoming, key)) is not None:
            yield await embedding.embed_each(texts)

    async def _commit(self, hold: Hold, sifted: Sifted, embedding: Embedding) -> None:
        output, first = Output(self._store, hold), hold.cursor.get("parts", 0)
        stored: list[dict[str, File]] = []
        for number, shards in enumerate(sifted.parts, first):
            files = {}
            for kind, shard in shards.items():
                name = f"{kind}-{number:05d}.parquet"
                files[kind] = await put_shard(self._store, hold.run.project, name, shard)
            stored.append(files)
        done = hold.cursor.get("next", 0) + sifted.rows
        spent, cursor = embedding.spent(), {"next": done, "parts": first + len(stored)}
        async with hold.commit(add=sifted.counts, spent=spent, **cursor) as connection:
            for number, files in enumerate(stored, first):
                await output.add(connection, number, files)
        await hold.report(done=done)

    async def settle(self, hold: Hold, connection: AsyncConnection) -> Settled:
        """Commits the manifests; each example ended kept, rejected or failed, and is in the artifact of that name."""
        output, spec = Output(self._store, hold), hold.run.spec
        parents = RunSpec.model_validate(spec).parents
        made = {kind: await output.commit(connection, kind, spec, parents) for kind in KINDS}
        return Settled(
            result={kind: manifest.digest for kind, manifest in made.items()},
            inputs=hold.cursor.get("next", 0),
            outputs={outcome.value: made[outcome].rows for outcome in Outcome},
        )
