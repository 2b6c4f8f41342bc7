"""Files to and from a server: resumable, and checked by their SHA-256 on both ends."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc

from cultivar.client import Client
from cultivar.datasets.v1 import datasets_pb2

CHUNK = 1 << 20
ATTEMPTS = 5
PAUSE_SECONDS = 0.5
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED)
Progress = Callable[[int, int], None]


class TransferFailed(Exception):
    """A file did not arrive as it was sent; the message says what to do."""


def upload(client: Client, path: Path, progress: Progress | None = None) -> str:
    """Sends a file and returns its name, `projects/{project}/files/{sha256}`.

    What the server has already is not sent again. `progress` is told bytes done and in all. Raises OSError, and
    grpc.RpcError once the server was out of reach several times.
    """
    sha256, size = digest_of(path), path.stat().st_size
    name = client.name("uploads", sha256)

    def send() -> str:
        known = client.datasets.GetUpload(datasets_pb2.GetUploadRequest(name=name))
        if known.file:
            report(progress, size, size)
            return known.file
        try:
            return send_from(known.received)
        except grpc.RpcError as error:
            # Another replica answers than the one that received the beginning: to that one all of it is sent.
            elsewhere = isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.FAILED_PRECONDITION
            if not known.received or not elsewhere:
                raise
            return send_from(0)

    def send_from(offset: int) -> str:
        return client.datasets.UploadFile(_pieces(client.parent, path, sha256, offset, size, progress)).name

    return repeated(send)


def _pieces(
    parent: str, path: Path, sha256: str, offset: int, size: int, progress: Progress | None
) -> Iterator[datasets_pb2.UploadFileRequest]:
    # More than the whole file was received of another attempt to send another file: begin again.
    offset = offset if offset <= size else 0
    yield datasets_pb2.UploadFileRequest(
        parent=parent, sha256=sha256, size=size, offset=offset, file_name=path.name[:255]
    )
    with path.open("rb") as file:
        file.seek(offset)
        while piece := file.read(CHUNK):
            yield datasets_pb2.UploadFileRequest(chunk=piece)
            offset += len(piece)
            report(progress, offset, size)


def download(client: Client, artifact: str, file: str, path: Path, progress: Progress | None = None) -> Path:
    """Fetches one file of an artifact to `path`, which appears whole and checked or not at all.

    What an earlier attempt left beside it is not fetched again; `file` may be empty where the artifact has one file
    alone. Raises OSError, TransferFailed, and grpc.RpcError once the server was out of reach several times.
    """
    # Named by the artifact, so that what is left of one is never taken for a part of another.
    part = path.with_name(f"{path.name}.{artifact[-12:]}.part")
    sha256 = repeated(lambda: _fetch(client, artifact, file, part, progress))
    if digest_of(part) != sha256:
        part.unlink()
        raise TransferFailed(f"{path.name} did not arrive as it is stored: fetch it again")
    os.replace(part, path)
    return path


def _fetch(client: Client, artifact: str, file: str, part: Path, progress: Progress | None) -> str:
    done = part.stat().st_size if part.exists() else 0
    request = datasets_pb2.DownloadArtifactRequest(name=artifact, file=file, offset=done)
    answers = client.datasets.DownloadArtifact(request)
    told = next(answers).file
    with part.open("ab") as target:
        for answer in answers:
            target.write(answer.chunk)
            done += len(answer.chunk)
            report(progress, done, told.size)
    return told.sha256


def repeated(call: Callable[[], str]) -> str:
    """Makes a call again where the server was out of reach or busy for a moment, 5 times at most."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except grpc.RpcError as error:
            if attempt == ATTEMPTS or not isinstance(error, grpc.Call) or error.code() not in PASSING:
                raise
            time.sleep(PAUSE_SECONDS * attempt)
    raise AssertionError("the last attempt returns or raises")


def digest_of(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def report(progress: Progress | None, done: int, size: int) -> None:
    """Tells how far a transfer is, if anybody asked."""
    if progress is not None:
        progress(done, size)
