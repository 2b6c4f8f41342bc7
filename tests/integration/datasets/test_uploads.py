"""Files in: whole or not at all, resumable, and safe when sent twice at once."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from cultivar.datasets.v1 import datasets_pb2 as pb
from cultivar_artifacts import MemoryStore
from cultivar_service.parts import Parts

from tests.integration.datasets.conftest import PARENT, Served, lines, stream

Serve = Callable[..., Awaitable[Served]]
BIG = os.urandom(3 << 20)
SHA = hashlib.sha256(BIG).hexdigest()


async def refused(call: Awaitable[Any]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value


async def received(served: Served, sha256: str = SHA) -> pb.Upload:
    return await served.stub.GetUpload(pb.GetUploadRequest(name=f"{PARENT}/uploads/{sha256}"))


async def until(served: Served, sha256: str, size: int) -> None:
    async with asyncio.timeout(10):
        while True:
            if (await received(served, sha256)).received == size:
                return
            await asyncio.sleep(0.05)


def spooled(served: Served) -> list[str]:
    return [path.name for path in served.spool.glob("*.part")]


async def test_a_file_is_kept_under_its_digest_and_comes_out_as_it_went_in(served: Served) -> None:
    file = await served.upload(BIG, file_name="big.bin")
    assert file.name == f"{PARENT}/files/{SHA}"
    assert (file.size, file.file_name, file.principal) == (len(BIG), "big.bin", "local")
    assert await served.stub.GetFile(pb.GetFileRequest(name=file.name)) == file
    answers = served.stub.DownloadArtifact(pb.DownloadArtifactRequest(name=file.artifact))
    assert b"".join([answer.chunk async for answer in answers]) == BIG
    assert (await received(served)).file == file.name
    assert spooled(served) == []


async def test_an_upload_that_broke_off_goes_on_from_what_was_received(served: Served) -> None:
    async def broken() -> AsyncIterator[pb.UploadFileRequest]:
        async for message in stream(BIG):
            yield message
            if message.chunk:
                return

    error = await refused(served.stub.UploadFile(broken()))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert f"go on from byte {1 << 20}" in str(error.details())
    upload = await received(served)
    assert (upload.received, upload.file) == (1 << 20, "")
    file = await served.stub.UploadFile(stream(BIG, offset=upload.received))
    assert file.sha256 == SHA


async def test_a_caller_that_vanishes_leaves_what_it_sent(served: Served) -> None:
    async def stuck() -> AsyncIterator[pb.UploadFileRequest]:
        async for message in stream(BIG):
            yield message
            if message.chunk:
                await asyncio.sleep(30)

    call = served.stub.UploadFile(stuck())
    await until(served, SHA, 1 << 20)
    call.cancel()
    async with asyncio.timeout(10):
        while True:
            try:
                file = await served.stub.UploadFile(stream(BIG, offset=1 << 20))
                break
            except grpc.aio.AioRpcError as error:
                assert error.code() == grpc.StatusCode.ABORTED
                await asyncio.sleep(0.05)
    assert file.sha256 == SHA


async def test_the_same_file_sent_by_several_at_once_is_one_file(served: Served) -> None:
    files = await asyncio.gather(*(served.upload(BIG, file_name=f"{number}") for number in range(4)))
    assert len({file.name for file in files}) == len({file.file_name for file in files}) == 1
    stored = [blob async for blob in served.store.list("default")]
    assert len(stored) == 1 and spooled(served) == []


REFUSED: list[tuple[bytes, dict[str, Any], str]] = [
    (b"", {}, "empty file"),
    (b"abc", {"sha256": "nonsense"}, "64 lower-case"),
    (b"abc", {"sha256": "../../../../etc/passwd"}, "64 lower-case"),
    (b"abc", {"sha256": "0" * 64}, "bytes received have SHA-256"),
    (b"abcdef", {"size": 3}, "more than the announced 3 bytes"),
    (b"abc", {"size": 1 << 60}, "CULTIVAR_DATASETS_MOST_FILE_BYTES"),
    (b"abc", {"offset": -1}, "offset must be 0 to"),
]


async def test_what_cannot_be_a_file_is_refused_and_leaves_nothing(served: Served) -> None:
    for data, changed, words in REFUSED:
        error = await refused(served.upload(data, **changed))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert words in str(error.details())
    assert spooled(served) == []
    assert [blob async for blob in served.store.list("default")] == []


async def test_a_full_store_is_said_and_nothing_stays(serve: Serve) -> None:
    def small(parts: Parts) -> None:
        parts.store = MemoryStore(capacity=1 << 20)

    served = await serve(small)
    error = await refused(served.upload(BIG))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert spooled(served) == []
    assert (await received(served)).received == 0


async def test_an_abandoned_upload_is_gone_after_a_day(serve: Serve) -> None:
    served = await serve()
    old, young = served.spool / f"default-{SHA}.part", served.spool / f"default-{'b' * 64}.part"
    for path in (old, young):
        path.write_bytes(b"half of it")
    os.utime(old, (time.time() - 25 * 3600,) * 2)
    again = await serve(datasets_spool=served.spool)
    await until(again, SHA, 0)
    assert (await received(again, "b" * 64)).received == 10


async def test_another_projects_file_is_not_found(served: Served) -> None:
    file = await served.upload(lines(3))
    error = await refused(served.stub.GetFile(pb.GetFileRequest(name=file.name.replace("default", "other"))))
    assert error.code() == grpc.StatusCode.NOT_FOUND
    spec = pb.ImportSpec(file=file.name)
    error = await refused(served.stub.ImportExamples(pb.ImportExamplesRequest(parent="projects/other", spec=spec)))
    assert error.code() == grpc.StatusCode.NOT_FOUND
