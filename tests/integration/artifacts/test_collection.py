"""Garbage collection on a real PostgreSQL: what is named stays, whatever happens at the same time."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from cultivar_artifacts import (
    ArtifactError,
    ArtifactInvalid,
    ArtifactMissing,
    File,
    FileStore,
    Manifest,
    MemoryStore,
    collect,
    verify,
)
from cultivar_artifacts.collect import Collected, collect_garbage
from cultivar_artifacts.tables import (
    add_part,
    commit_manifest,
    create_artifact_schema,
    drop_parts,
    erase_manifest,
    list_manifests,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

PROJECT = "support"
LONG_AGO = datetime(2024, 2, 29, tzinfo=UTC)
NOTHING = Collected(blobs=0, bytes=0, documents=0, complete=True)


class Clocked(MemoryStore):
    """A memory store whose puts happened long ago, until it is told that now is now."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: LONG_AGO)

    def now(self) -> None:
        self.clock = lambda: datetime.now(UTC)


def _names(*contents: tuple[str, int], project: str = PROJECT, **changes: Any) -> Manifest:
    files = tuple(File(name=f"f{n}", sha256=sha256, size=size) for n, (sha256, size) in enumerate(contents))
    return Manifest(**{"project": project, "kind": "kept", "files": files} | changes)


async def _put(store: MemoryStore, content: bytes, project: str = PROJECT) -> tuple[str, int]:
    blob = await store.put(project, content)
    return blob.sha256, blob.size


async def _commit(engine: AsyncEngine, store: MemoryStore, manifest: Manifest) -> None:
    async with engine.begin() as connection:
        await commit_manifest(connection, store, manifest)


async def _collect(engine: AsyncEngine, store: MemoryStore, **options: Any) -> Collected:
    async with engine.begin() as connection:
        return await collect_garbage(connection, store, PROJECT, **options)


async def test_only_what_nobody_names_and_is_old_goes(engine: AsyncEngine) -> None:
    store = Clocked()
    named, lost = await _put(store, b"named"), await _put(store, b"lost")
    other = await _put(store, b"other", "billing")
    await _commit(engine, store, _names(named))
    await store.put_document(PROJECT, "0" * 64, b"{}")
    store.now()
    young = await _put(store, b"young")
    assert await _collect(engine, store) == Collected(blobs=1, bytes=4, documents=1, complete=True)
    assert not await store.exists(PROJECT, lost[0])
    assert await store.exists(PROJECT, named[0]) and await store.exists(PROJECT, young[0])
    assert await store.exists("billing", other[0])
    assert await _collect(engine, store) == NOTHING
    assert (await _collect(engine, store, grace=timedelta(seconds=-1))).blobs == 1


async def test_what_a_run_under_way_has_made_stays_until_the_run_ends(engine: AsyncEngine) -> None:
    store = Clocked()
    sha256, size = await _put(store, b"a part of a run that waits for a person")
    async with engine.begin() as connection:
        await add_part(connection, PROJECT, "run", "candidates", 0, File(name="f", sha256=sha256, size=size))
    assert await _collect(engine, store) == NOTHING
    async with engine.begin() as connection:
        await drop_parts(connection, "run")
    assert (await _collect(engine, store)).blobs == 1


async def test_what_is_put_again_is_young_again(engine: AsyncEngine) -> None:
    store = Clocked()
    await _put(store, b"lost, then found")
    store.now()
    again = await _put(store, b"lost, then found")
    assert await _collect(engine, store) == NOTHING
    await _commit(engine, store, _names(again))


async def test_an_erased_manifest_loses_its_document_and_what_only_it_named(engine: AsyncEngine) -> None:
    store = Clocked()
    shared, own = await _put(store, b"shared"), await _put(store, b"own")
    erased, kept = _names(shared, own), _names(shared, run="another")
    for manifest in (erased, kept):
        await _commit(engine, store, manifest)
    async with engine.begin() as connection:
        await erase_manifest(connection, PROJECT, erased.digest, "licence ended")
    assert await _collect(engine, store) == Collected(blobs=1, bytes=3, documents=1, complete=True)
    assert await verify(store, kept) == ()
    with pytest.raises(ArtifactMissing):
        await store.read_document(PROJECT, erased.digest)


@pytest.mark.parametrize("document", [None, b"{}", b"not json"])
async def test_nothing_is_removed_when_a_live_manifest_cannot_be_read(
    engine: AsyncEngine, document: bytes | None
) -> None:
    store = Clocked()
    manifest = _names(await _put(store, b"named"))
    await _commit(engine, store, manifest)
    await _put(store, b"lost")
    await store.delete_document(PROJECT, manifest.digest)
    if document is not None:
        await store.put_document(PROJECT, manifest.digest, document)
    with pytest.raises(ArtifactError, match=manifest.digest):
        await _collect(engine, store)
    assert sum("blobs" in key for key in store.objects) == 2


async def test_a_snapshot_that_hides_new_commits_is_refused(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        with pytest.raises(ArtifactInvalid, match="READ COMMITTED"):
            await collect_garbage(connection, Clocked(), PROJECT)


async def test_a_manifest_committed_after_the_listing_keeps_its_files(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Clocked()
    late = _names(await _put(store, b"late"))
    await _put(store, b"lost")
    remove = collect._Sweep.remove

    async def commit_first(sweep: Any, old: Any, named: Any, delete: Any) -> Any:
        if delete == store.delete:
            await _commit(engine, store, late)
        return await remove(sweep, old, named, delete)

    monkeypatch.setattr(collect._Sweep, "remove", commit_first)
    assert (await _collect(engine, store)).blobs == 1
    assert await verify(store, late) == ()


async def test_a_commit_under_way_is_waited_for_and_keeps_its_files(engine: AsyncEngine) -> None:
    store = Clocked()
    manifest = _names(await _put(store, b"named"))
    async with engine.begin() as connection:
        await commit_manifest(connection, store, manifest)
        collecting = asyncio.create_task(_collect(engine, store))
        await _put(store, b"lost")
        await asyncio.sleep(0.2)
        assert not collecting.done()
    assert await collecting in (NOTHING, Collected(blobs=1, bytes=4, documents=0, complete=True))
    assert await verify(store, manifest) == ()


async def test_a_commit_that_never_ends_makes_the_collection_give_up(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "_LOCK_WAIT", "100ms")
    store = Clocked()
    manifest = _names(await _put(store, b"named"))
    await _put(store, b"lost")
    async with engine.begin() as connection:
        await commit_manifest(connection, store, manifest)
        given_up = await _collect(engine, store)
        assert given_up == Collected(blobs=0, bytes=0, documents=0, complete=False)
        assert sum("blobs" in key for key in store.objects) == 2
    assert await _collect(engine, store) == Collected(blobs=1, bytes=4, documents=0, complete=True)


async def test_a_collection_lets_commits_in_before_its_transaction_ends(engine: AsyncEngine) -> None:
    store = Clocked()
    await _put(store, b"lost")
    async with engine.begin() as connection:
        assert (await collect_garbage(connection, store, PROJECT)).blobs == 1
        await asyncio.wait_for(_commit(engine, store, _names(await _put(store, b"named"))), 2)


async def test_more_than_one_batch_is_removed(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "_AT_ONCE", 10)
    store = Clocked()
    named = [await _put(store, b"named %d" % n) for n in range(25)]
    for n in range(25):
        await _commit(engine, store, _names(named[n]))
        await _put(store, b"lost %d" % n)
    assert (await _collect(engine, store)).blobs == 25
    assert sum("blobs" in key for key in store.objects) == 25


STEP = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 5)),
    st.tuples(st.just("commit"), st.sets(st.integers(0, 5), max_size=3)),
    st.tuples(st.just("erase"), st.integers(0, 20)),
    st.tuples(st.just("collect"), st.booleans()),
    st.tuples(st.just("collect_while"), st.sets(st.integers(0, 5), max_size=3)),
)
_examples = count()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, max_size=12))
def test_no_history_of_puts_commits_erasures_and_collections_loses_a_named_file(
    postgres_engine: AsyncEngine, steps: list[tuple[str, Any]]
) -> None:
    assert asyncio.run(_Story(postgres_engine, f"p{next(_examples)}").play(steps)) == []


class _Story:
    """Plays steps on a project of its own, and after each one looks for live manifests that are not whole."""

    def __init__(self, engine: AsyncEngine, project: str) -> None:
        self.engine, self.project, self.store = engine, project, Clocked()
        self.made: list[Manifest] = []

    async def play(self, steps: list[tuple[str, Any]]) -> list[Any]:
        async with self.engine.begin() as connection:
            await create_artifact_schema(connection)
        broken: list[Any] = []
        for name, what in steps:
            await getattr(self, name)(what)
            broken += await self.broken()
        return broken

    async def put(self, number: int) -> tuple[str, int]:
        return await _put(self.store, b"content %d" % number, self.project)

    async def commit(self, numbers: set[int]) -> None:
        manifest = _names(*[await self.put(n) for n in sorted(numbers)], project=self.project, run=f"r{len(self.made)}")
        async with self.engine.begin() as connection:
            await asyncio.sleep(0)
            try:
                await commit_manifest(connection, self.store, manifest)
            except ArtifactMissing:
                return  # collected between the put and the commit: refused, which is right, and nothing dangles
        self.made.append(manifest)

    async def erase(self, number: int) -> None:
        if self.made:
            async with self.engine.begin() as connection:
                digest = self.made[number % len(self.made)].digest
                await erase_manifest(connection, self.project, digest, "test")

    async def collect(self, twice: bool) -> None:
        for _ in range(1 + twice):
            async with self.engine.begin() as connection:
                assert (await collect_garbage(connection, self.store, self.project)).complete

    async def collect_while(self, numbers: set[int]) -> None:
        await asyncio.gather(self.collect(False), self.commit(numbers), self.collect(False))

    async def broken(self) -> list[Any]:
        async with self.engine.connect() as connection:
            live = {found.digest for found in await list_manifests(connection, self.project)}
        return [
            lost for manifest in self.made if manifest.digest in live for lost in await verify(self.store, manifest)
        ]


async def test_files_in_a_folder_are_collected_by_their_age(engine: AsyncEngine, tmp_path: Any) -> None:
    store = FileStore(tmp_path)
    old, young = await store.put(PROJECT, b"old"), await store.put(PROJECT, b"young")
    os.utime(await store.local(PROJECT, old.sha256, tmp_path), (0, 0))
    async with engine.begin() as connection:
        assert (await collect_garbage(connection, store, PROJECT)).blobs == 1
    assert not await store.exists(PROJECT, old.sha256) and await store.exists(PROJECT, young.sha256)
