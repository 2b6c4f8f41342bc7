"""The store in a folder and the one in memory: the promises of every store, and what each adds."""

import asyncio
import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cultivar_artifacts import (
    ArtifactInvalid,
    FileStore,
    MemoryStore,
    S3Settings,
    S3Store,
    StoreFull,
    StoreUnavailable,
    open_store,
)

from tests.conformance.artifact_store import CONTENT, PROJECT, ArtifactStoreConformance, Subject


def _file_subject(root: Path) -> Subject:
    def path(key: str) -> Path:
        project, kind, name = key.split("/")
        return root / project / kind / name[:2] / name

    def overwrite(key: str, content: bytes) -> None:
        path(key).parent.mkdir(parents=True, exist_ok=True)
        path(key).write_bytes(content)

    def keys() -> list[str]:
        found = [file.relative_to(root).parts for file in root.rglob("*") if file.is_file()]
        return sorted(f"{parts[0]}/{parts[1]}/{parts[-1]}" for parts in found)

    return Subject(FileStore(root), overwrite, keys)


def _memory_subject() -> Subject:
    store = MemoryStore()

    def overwrite(key: str, content: bytes) -> None:
        store.objects[key] = content
        store.modified.setdefault(key, store.clock())

    return Subject(store, overwrite, lambda: sorted(store.objects))


class TestFileStore(ArtifactStoreConformance):
    @pytest.fixture
    def subject(self, tmp_path_factory: pytest.TempPathFactory) -> Subject:
        return _file_subject(tmp_path_factory.mktemp("store"))


class TestMemoryStore(ArtifactStoreConformance):
    @pytest.fixture
    def subject(self) -> Subject:
        return _memory_subject()


@contextmanager
def _files_no_larger_than(size: int) -> Iterator[None]:
    """Makes the operating system refuse larger files, as a full disk refuses a write in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_write_that_finds_no_room_leaves_nothing_behind(tmp_path: Path) -> None:
    subject = _file_subject(tmp_path / "store")
    with _files_no_larger_than(4096), pytest.raises(StoreFull, match="no room left"):
        await subject.store.put(PROJECT, CONTENT)
    assert subject.keys() == []
    blob = await subject.store.put(PROJECT, CONTENT)
    with _files_no_larger_than(4096), pytest.raises(StoreFull, match="no room left"):
        await subject.store.fetch(PROJECT, blob.sha256, tmp_path / "copies" / "copy")
    assert list((tmp_path / "copies").iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_at_the_last_moment_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    subject = _file_subject(tmp_path)

    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFull):
        await subject.store.put(PROJECT, CONTENT)
    assert subject.keys() == []


async def test_a_folder_that_turned_into_a_file_is_an_unavailable_store(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    for folder in sorted((tmp_path / "store").iterdir()):
        folder.rmdir()
    (tmp_path / "store").rmdir()
    (tmp_path / "store").write_text("a file now")
    with pytest.raises(StoreUnavailable, match="check that it is mounted"):
        await store.put(PROJECT, CONTENT)
    with pytest.raises(StoreUnavailable, match="check that it is mounted"):
        FileStore(tmp_path / "store")


def test_what_a_killed_process_left_is_removed_a_day_later(tmp_path: Path) -> None:
    FileStore(tmp_path)
    incoming = tmp_path / ".incoming"
    incoming.mkdir()
    (incoming / ".old.part").write_bytes(b"half")
    (incoming / ".new.part").write_bytes(b"half")
    os.utime(incoming / ".old.part", (0, 0))
    FileStore(tmp_path)
    assert [path.name for path in incoming.iterdir()] == [".new.part"]


async def test_two_stores_on_one_folder_see_each_others_blobs(tmp_path: Path) -> None:
    blob = await FileStore(tmp_path).put(PROJECT, CONTENT)
    assert await FileStore(tmp_path).read(PROJECT, blob.sha256) == CONTENT


async def test_the_event_loop_goes_on_while_a_large_file_is_stored(tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(os.urandom(1 << 20) * 64)
    ticks, done = 0, asyncio.Event()

    async def tick() -> None:
        nonlocal ticks
        while not done.is_set():
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await FileStore(tmp_path / "store").put(PROJECT, source)
    done.set()
    await ticking
    assert ticks > 5


async def test_a_full_memory_store_keeps_what_it_had() -> None:
    store = MemoryStore(capacity=len(CONTENT) + 10)
    first = await store.put(PROJECT, CONTENT)
    with pytest.raises(StoreFull, match="raise capacity"):
        await store.put(PROJECT, b"eleven byte")
    assert list(store.objects) == [f"{PROJECT}/blobs/{first.sha256}"]


async def test_a_memory_store_takes_its_time_from_its_clock() -> None:
    then = datetime(2024, 2, 29, tzinfo=UTC)
    store = MemoryStore(clock=lambda: then)
    await store.put(PROJECT, CONTENT)
    assert [stored.modified async for stored in store.list(PROJECT)] == [then]


def test_an_address_opens_the_store_it_names(tmp_path: Path) -> None:
    settings = S3Settings("localhost:1", "key", "secret")
    odd = tmp_path / "a folder"
    for address in (odd, str(odd), odd.as_uri(), f"file://localhost{odd.as_posix().replace(' ', '%20')}"):
        store = open_store(address)
        assert isinstance(store, FileStore) and store.root == odd
    assert isinstance(open_store("s3://bucket/a/prefix", settings), S3Store)


@pytest.mark.parametrize(
    "address", ["ftp://host/x", "file://host/x", "file://", "s3://", "s3:///x", "s3://bucket/x", "s3://B_d!/x"]
)
def test_an_address_of_no_store_is_refused(address: str) -> None:
    settings = None if address == "s3://bucket/x" else S3Settings("localhost:1", "key", "secret")
    with pytest.raises(ArtifactInvalid):
        open_store(address, settings)


def test_an_endpoint_with_a_scheme_is_refused_with_the_form_to_use() -> None:
    with pytest.raises(ArtifactInvalid, match="host:port"):
        open_store("s3://bucket", S3Settings("http://localhost:9000", "key", "secret"))


def test_the_secret_key_is_never_shown() -> None:
    assert "hidden-key" not in repr(S3Settings("localhost:1", "key", "hidden-key"))


async def test_a_store_that_nobody_runs_is_unavailable_and_says_where() -> None:
    store = open_store("s3://bucket", S3Settings("127.0.0.1:1", "key", "hidden-key", tls=False, retries=0))
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1.*check that it runs") as caught:
        await store.put(PROJECT, CONTENT)
    assert "hidden-key" not in str(caught.value)
