"""The S3 store on a real server: the promises of every store, large files, and what happens when things break."""

import asyncio
import os
import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cultivar_artifacts import (
    BucketMissing,
    CorruptArtifact,
    Manifest,
    S3Settings,
    StoreUnavailable,
    open_store,
    verify,
    write_shards,
)
from cultivar_artifacts.digests import measure
from cultivar_artifacts.rows import find_row
from minio import Minio

from tests.conformance.artifact_store import CONTENT, PROJECT, ArtifactStoreConformance, Subject


class Wire:
    """A TCP relay before the server: counts what is sent to it, and cuts answers after so many bytes."""

    def __init__(self, target: str) -> None:
        self.sent = 0
        self.cuts: list[int] = []
        self._target = target.split(":")

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self._target[0], int(self._target[1]))
        back = asyncio.create_task(self._answer(there[0], writer))
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                self.sent += len(data)
                there[1].write(data)
                await there[1].drain()
        there[1].close()
        await back

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                passed += len(data)
                if self.cuts and passed > self.cuts[0]:
                    self.cuts.pop(0)
                    break
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
def client(s3_settings: S3Settings) -> Minio:
    return Minio(
        s3_settings.endpoint, access_key=s3_settings.access_key, secret_key=s3_settings.secret_key, secure=False
    )


@pytest.fixture
def bucket(client: Minio) -> str:
    name = f"artifacts-{secrets.token_hex(6)}"
    client.make_bucket(name)
    return name


@pytest.fixture
def subject(s3_settings: S3Settings, client: Minio, bucket: str) -> Subject:
    def overwrite(key: str, content: bytes) -> None:
        client.put_object(bucket, f"unit/{key}", BytesIO(content), len(content))

    def keys() -> list[str]:
        found = [item.object_name or "" for item in client.list_objects(bucket, recursive=True)]
        return sorted(name.removeprefix("unit/") for name in found)

    # S3 tells times in whole seconds, and a busy server's own Date, by which age is told, may lag by a second or two.
    return Subject(open_store(f"s3://{bucket}/unit", s3_settings), overwrite, keys, clock_step_s=4.5)


@pytest.fixture
async def wire(s3_settings: S3Settings) -> AsyncIterator[tuple[Wire, S3Settings]]:
    wire = Wire(s3_settings.endpoint)
    server = await asyncio.start_server(wire.relay, "127.0.0.1", 0)
    yield wire, replace(s3_settings, endpoint=f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()


def _threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio")}


class TestS3Store(ArtifactStoreConformance):
    """What every store promises, on a real S3 server."""


async def test_a_file_of_many_parts_comes_back_as_it_was(subject: Subject, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(os.urandom(1 << 20) * 40 + b"and a rest")
    blob = await subject.store.put(PROJECT, source)
    await subject.store.fetch(PROJECT, blob.sha256, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()


async def test_a_large_file_that_changes_while_it_is_sent_leaves_nothing(
    subject: Subject, client: Minio, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "large"
    source.write_bytes(bytes(40 << 20))
    before = measure(source)
    source.write_bytes(bytes((40 << 20) - 1) + b"!")
    monkeypatch.setattr("cultivar_artifacts.checked.measure", lambda _: before)
    threads = _threads()
    with pytest.raises(CorruptArtifact, match="changed while"):
        await subject.store.put(PROJECT, source)
    assert _threads() == threads
    assert subject.keys() == []
    name = f"unit/{PROJECT}/blobs/{before.sha256}"  # the server lists uploads under a whole name only
    assert client._list_multipart_uploads(bucket, prefix=name).uploads == []


async def test_content_that_is_there_is_not_sent_again(bucket: str, wire: tuple[Wire, S3Settings]) -> None:
    relay, settings = wire
    store, content = open_store(f"s3://{bucket}", settings), os.urandom(1 << 20)
    blob = await store.put(PROJECT, content)
    first = relay.sent
    assert await store.put(PROJECT, content) == blob
    assert first > len(content) and relay.sent - first < 10_000


async def test_a_read_that_is_cut_goes_on_where_it_was(bucket: str, wire: tuple[Wire, S3Settings]) -> None:
    relay, settings = wire
    store, content = open_store(f"s3://{bucket}", settings), os.urandom(4 << 20)
    blob = await store.put(PROJECT, content)
    fresh = open_store(f"s3://{bucket}", settings)
    relay.cuts = [1 << 19, 3 << 19, 3 << 19]  # before the first piece, then twice in the middle of a later one
    assert await fresh.read(PROJECT, blob.sha256) == content
    assert relay.cuts == []


async def test_a_read_that_is_cut_again_and_again_says_so(bucket: str, wire: tuple[Wire, S3Settings]) -> None:
    relay, settings = wire
    blob = await open_store(f"s3://{bucket}", settings).put(PROJECT, os.urandom(4 << 20))
    relay.cuts = [1 << 18] * 50
    with pytest.raises(StoreUnavailable, match=settings.endpoint):
        await open_store(f"s3://{bucket}", settings).read(PROJECT, blob.sha256)


async def test_a_missing_bucket_is_named_by_every_call(s3_settings: S3Settings, tmp_path: Path) -> None:
    digest = "0" * 64
    for call in ("put", "read", "exists", "delete", "fetch", "list"):
        store = open_store("s3://no-such-bucket/unit", s3_settings)
        calls = {
            "put": lambda store=store: store.put(PROJECT, CONTENT),
            "read": lambda store=store: store.read(PROJECT, digest),
            "exists": lambda store=store: store.exists(PROJECT, digest),
            "delete": lambda store=store: store.delete(PROJECT, digest),
            "fetch": lambda store=store: store.fetch(PROJECT, digest, tmp_path / "copy"),
            "list": lambda store=store: anext(aiter(store.list(PROJECT))),
        }
        with pytest.raises(BucketMissing, match=r"'no-such-bucket' does not exist.*create it"):
            await calls[call]()


async def test_a_wrong_key_is_refused_without_showing_it(s3_settings: S3Settings, bucket: str) -> None:
    store = open_store(f"s3://{bucket}", replace(s3_settings, secret_key="not-the-secret-key"))
    with pytest.raises(StoreUnavailable, match="check its keys") as caught:
        await store.put(PROJECT, CONTENT)
    assert "not-the-secret-key" not in str(caught.value)


async def test_a_server_of_something_else_is_unavailable(bucket: str, s3_settings: S3Settings) -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nnope")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(page, "127.0.0.1", 0)
    endpoint = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    store = open_store(f"s3://{bucket}", replace(s3_settings, endpoint=endpoint))
    with pytest.raises(StoreUnavailable, match="check that it runs") as caught:
        await store.read(PROJECT, "0" * 64)
    assert "nope" not in str(caught.value)
    server.close()


async def test_two_prefixes_of_a_bucket_do_not_meet(subject: Subject, s3_settings: S3Settings, bucket: str) -> None:
    blob = await subject.store.put(PROJECT, CONTENT)
    other = open_store(f"s3://{bucket}/unit-2", s3_settings)
    assert not await other.exists(PROJECT, blob.sha256)
    assert [stored async for stored in other.list(PROJECT)] == []


async def test_the_event_loop_goes_on_while_a_blob_is_streamed(subject: Subject) -> None:
    blob = await subject.store.put(PROJECT, os.urandom(1 << 20) * 16)
    longest, done = 0.0, False

    async def tick() -> None:
        nonlocal longest
        clock = asyncio.get_running_loop().time
        while not done:
            before = clock()
            await asyncio.sleep(0)
            longest = max(longest, clock() - before)

    ticking = asyncio.create_task(tick())
    async with aclosing(subject.store.stream(PROJECT, blob.sha256)) as pieces:  # type: ignore[type-var]
        assert sum([len(piece) async for piece in pieces]) == blob.size
    done = True
    await ticking
    assert longest < 0.25


async def test_shards_in_s3_are_verified_and_their_rows_found(subject: Subject, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"id": secrets.token_hex(16), "n": n} for n in range(5000)]
    files = await write_shards(subject.store, PROJECT, pa.Table.from_pylist(rows))
    manifest = Manifest(project=PROJECT, kind="candidates", rows=5000, files=files)
    await subject.store.put_document(PROJECT, manifest.digest, manifest.to_json())
    assert await verify(subject.store, manifest) == ()
    assert await find_row(subject.store, manifest, rows[7]["id"]) == rows[7]
    assert await find_row(subject.store, manifest, rows[8]["id"], tmp_path / "cache") == rows[8]
    assert await find_row(subject.store, manifest, "f" * 32) is None
