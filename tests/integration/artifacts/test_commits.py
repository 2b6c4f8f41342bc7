"""The table of manifests on a real PostgreSQL: commits, lineage, tombstones and who may do what."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cultivar_artifacts import (
    ArtifactErased,
    ArtifactInvalid,
    ArtifactMissing,
    File,
    Manifest,
    MemoryStore,
    load_manifest,
)
from cultivar_artifacts.tables import (
    children,
    commit_manifest,
    create_artifact_schema,
    erase_manifest,
    find_manifest,
    list_manifests,
)
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

PROJECT = "support"


@pytest.fixture
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with engine.connect() as connection:
        yield connection


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


async def _made(store: MemoryStore, content: bytes, **changes: Any) -> Manifest:
    """A manifest whose only file is stored."""
    project = changes.get("project", PROJECT)
    blob = await store.put(project, content)
    fields = {"project": PROJECT, "kind": "kept", "files": (File(name="data", sha256=blob.sha256, size=blob.size),)}
    return Manifest(**fields | changes)


async def _count(connection: AsyncConnection) -> int:
    count: int = (await connection.execute(text("SELECT count(*) FROM artifacts.manifest"))).scalar_one()
    return count


async def test_a_committed_manifest_is_found_and_its_document_loaded(
    connection: AsyncConnection, store: MemoryStore
) -> None:
    manifest = await _made(store, b"rows", run="projects/support/runs/1", config={"seed": 7})
    assert await commit_manifest(connection, store, manifest)
    found = await find_manifest(connection, PROJECT, manifest.digest)
    assert found is not None and found.erased_at is None
    assert (found.digest, found.kind, found.run, found.rows) == (manifest.digest, "kept", "projects/support/runs/1", 0)
    assert await load_manifest(store, PROJECT, found.digest) == manifest


async def test_another_projects_manifest_is_not_found(connection: AsyncConnection, store: MemoryStore) -> None:
    manifest = await _made(store, b"rows")
    await commit_manifest(connection, store, manifest)
    assert await find_manifest(connection, "billing", manifest.digest) is None
    assert await list_manifests(connection, "billing") == ()
    with pytest.raises(ArtifactMissing):
        await erase_manifest(connection, "billing", manifest.digest, "test")


async def test_committing_the_same_digest_twice_is_one_row(connection: AsyncConnection, store: MemoryStore) -> None:
    manifest = await _made(store, b"rows")
    assert await commit_manifest(connection, store, manifest)
    assert not await commit_manifest(connection, store, manifest)
    assert await _count(connection) == 1


async def test_two_replicas_that_commit_at_once_make_one_row(engine: AsyncEngine, store: MemoryStore) -> None:
    manifest = await _made(store, b"rows")

    async def commit() -> bool:
        async with engine.begin() as connection:
            new = await commit_manifest(connection, store, manifest)
            await asyncio.sleep(0.05)
            return new

    assert sorted(await asyncio.gather(*(commit() for _ in range(4)))) == [False, False, False, True]


async def test_what_the_caller_rolls_back_does_not_exist(engine: AsyncEngine, store: MemoryStore) -> None:
    manifest = await _made(store, b"rows")
    async with engine.connect() as connection:
        await commit_manifest(connection, store, manifest)
        await connection.rollback()
        assert await find_manifest(connection, PROJECT, manifest.digest) is None
        assert await commit_manifest(connection, store, manifest)


async def test_a_manifest_of_a_file_that_is_not_stored_is_refused(
    connection: AsyncConnection, store: MemoryStore
) -> None:
    manifest = await _made(store, b"rows")
    await store.delete(PROJECT, manifest.files[0].sha256)
    with pytest.raises(ArtifactMissing, match=f"file data .*{manifest.digest}"):
        await commit_manifest(connection, store, manifest)
    assert await _count(connection) == 0


async def test_a_parent_that_is_not_there_or_is_another_projects_is_refused(
    connection: AsyncConnection, store: MemoryStore
) -> None:
    foreign = await _made(store, b"seeds", project="billing")
    await commit_manifest(connection, store, foreign)
    for parent in ("0" * 64, foreign.digest):
        with pytest.raises(ArtifactMissing, match=parent):
            await commit_manifest(connection, store, await _made(store, b"rows", parents=(parent,)))
    assert await _count(connection) == 1


async def test_lineage_goes_from_parents_to_children_and_keeps_tombstones(
    connection: AsyncConnection, store: MemoryStore
) -> None:
    seeds, more = await _made(store, b"seeds", kind="seeds"), await _made(store, b"more", kind="seeds")
    for manifest in (seeds, more):
        await commit_manifest(connection, store, manifest)
    kept = await _made(store, b"kept", parents=(seeds.digest, more.digest))
    alone = await _made(store, b"alone", parents=(more.digest,))
    for manifest in (kept, alone):
        await commit_manifest(connection, store, manifest)
    await erase_manifest(connection, PROJECT, kept.digest, "asked by its writer")
    assert [child.digest for child in await children(connection, PROJECT, seeds.digest)] == [kept.digest]
    both = await children(connection, PROJECT, more.digest)
    assert {child.digest: child.erased_reason for child in both} == {
        kept.digest: "asked by its writer",
        alone.digest: None,
    }
    assert set(both[0].parents) <= {seeds.digest, more.digest}
    assert await children(connection, PROJECT, alone.digest) == ()


async def test_a_tombstone_says_when_and_why_and_is_never_committed_again(
    connection: AsyncConnection, store: MemoryStore
) -> None:
    manifest = await _made(store, b"rows")
    await commit_manifest(connection, store, manifest)
    with pytest.raises(ArtifactInvalid, match="say why"):
        await erase_manifest(connection, PROJECT, manifest.digest, " ")
    assert await erase_manifest(connection, PROJECT, manifest.digest, "licence ended")
    assert not await erase_manifest(connection, PROJECT, manifest.digest, "another reason")
    tombstone = await find_manifest(connection, PROJECT, manifest.digest)
    assert tombstone is not None and tombstone.erased_at is not None
    assert tombstone.erased_reason == "licence ended"
    assert await list_manifests(connection, PROJECT) == ()
    with pytest.raises(ArtifactErased, match=manifest.digest):
        await commit_manifest(connection, store, manifest)


async def test_a_tombstone_can_be_a_parent(connection: AsyncConnection, store: MemoryStore) -> None:
    seeds = await _made(store, b"seeds")
    await commit_manifest(connection, store, seeds)
    await erase_manifest(connection, PROJECT, seeds.digest, "licence ended")
    assert await commit_manifest(connection, store, await _made(store, b"rows", parents=(seeds.digest,)))


async def test_a_listing_is_cut_into_pages_without_loss(connection: AsyncConnection, store: MemoryStore) -> None:
    made = [await _made(store, b"%d" % n, kind="kept" if n % 3 else "seeds", run=f"r{n % 2}") for n in range(20)]
    for number, manifest in enumerate(made):
        await commit_manifest(connection, store, manifest)
        if number % 4 == 0:  # one transaction has one time, so that pages are also cut inside equal times
            await connection.commit()
    seen, last = [], None
    while page := await list_manifests(connection, PROJECT, before=last, limit=3):
        seen += [found.digest for found in page]
        last = page[-1]
    assert sorted(seen) == sorted(manifest.digest for manifest in made)
    assert [found.committed_at for found in await list_manifests(connection, PROJECT)] == sorted(
        [found.committed_at for found in await list_manifests(connection, PROJECT)], reverse=True
    )
    kept = await list_manifests(connection, PROJECT, "kept", run="r1")
    assert {found.digest for found in kept} == {m.digest for m in made if m.kind == "kept" and m.run == "r1"}


async def test_the_schema_is_made_once_by_whoever_comes_first(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA artifacts CASCADE"))

    async def create() -> None:
        async with engine.begin() as connection:
            await create_artifact_schema(connection)

    await asyncio.gather(*(create() for _ in range(5)))
    async with engine.connect() as connection:
        assert await _count(connection) == 0


async def test_any_role_may_commit_and_read_and_only_the_owner_may_erase(
    engine: AsyncEngine, store: MemoryStore
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("DROP ROLE IF EXISTS filtering"))
        await connection.execute(text("CREATE ROLE filtering"))
    manifest = await _made(store, b"rows")
    async with engine.connect() as connection:
        await connection.execute(text("SET ROLE filtering"))
        await create_artifact_schema(connection)
        assert await commit_manifest(connection, store, manifest)
        assert len(await list_manifests(connection, PROJECT)) == 1
        await connection.commit()
        for change in ("DELETE FROM artifacts.manifest", "UPDATE artifacts.manifest SET rows = 1"):
            with pytest.raises(DBAPIError, match="permission denied"):
                await connection.execute(text(change))
            await connection.rollback()
        with pytest.raises(DBAPIError, match="permission denied"):
            await erase_manifest(connection, PROJECT, manifest.digest, "not allowed")
        await connection.rollback()


async def test_the_documented_grant_lets_another_role_erase(engine: AsyncEngine, store: MemoryStore) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("DROP ROLE IF EXISTS datasets"))
        await connection.execute(text("CREATE ROLE datasets"))
        await connection.execute(text("GRANT UPDATE (erased_at, erased_reason) ON artifacts.manifest TO datasets"))
    manifest = await _made(store, b"rows")
    async with engine.begin() as connection:
        await connection.execute(text("SET ROLE datasets"))
        await commit_manifest(connection, store, manifest)
        assert await erase_manifest(connection, PROJECT, manifest.digest, "licence ended")
        await connection.execute(text("RESET ROLE"))
        await connection.execute(text("REVOKE ALL ON artifacts.manifest FROM datasets"))
