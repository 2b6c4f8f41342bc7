"""The promises of `ArtifactStore`, kept in one place for every kind of store."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Generator, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

from cultivar_artifacts.atomic import replace_file
from cultivar_artifacts.digests import CheckedReader, checked, measure, open_source
from cultivar_artifacts.errors import ArtifactInvalid
from cultivar_artifacts.store import CHUNK, Blob, Stored, is_digest, require_alias, require_digest, require_project

T = TypeVar("T")
_LISTED_AT_ONCE = 1000


class CheckedStore(ABC):
    """Checks names and digests and keeps blocking work off the event loop; a subclass only moves bytes.

    The methods that begin with an underscore block, run in a worker thread, and get keys that were checked.
    """

    @abstractmethod
    def _write(self, key: str, content: CheckedReader) -> None:
        """Stores the content under the key, whole or not at all."""

    @abstractmethod
    def _pieces(self, key: str, chunk: int) -> Generator[bytes, None, None]:
        """Reads an object in pieces of at most `chunk` bytes; raises `ArtifactMissing`."""

    @abstractmethod
    def _size(self, key: str) -> int | None:
        """Gives an object's size in bytes, None if it is not there."""

    @abstractmethod
    def _refresh(self, key: str, size: int) -> bool:
        """Makes an object of this size young, so that garbage collection spares it; False if there is none."""

    @abstractmethod
    def _remove(self, key: str) -> None:
        """Removes an object if it is there."""

    @abstractmethod
    def _scan(self, prefix: str) -> Generator[tuple[str, int, datetime], None, None]:
        """Lists the objects under a prefix: last part of the key, size in bytes, time of the last put (UTC)."""

    async def put(self, project: str, source: bytes | Path) -> Blob:
        return await asyncio.to_thread(self._put, require_project(project), source)

    async def read(self, project: str, sha256: str) -> bytes:
        key = _blob(project, sha256)
        return await asyncio.to_thread(lambda: b"".join(checked(self._pieces(key, CHUNK), sha256)))

    def stream(self, project: str, sha256: str, offset: int = 0, chunk: int = CHUNK) -> AsyncIterator[bytes]:
        if offset < 0 or chunk < 1:
            raise ArtifactInvalid(f"offset {offset} and chunk {chunk}: use an offset from 0 and a chunk from 1 byte on")
        return _in_thread(checked(self._pieces(_blob(project, sha256), chunk), sha256, offset))

    async def fetch(self, project: str, sha256: str, path: Path) -> None:
        key = _blob(project, sha256)
        await asyncio.to_thread(lambda: replace_file(path, checked(self._pieces(key, CHUNK), sha256), path.parent))

    async def local(self, project: str, sha256: str, folder: Path) -> Path:
        path = folder / require_digest(sha256)
        if not await asyncio.to_thread(lambda: path.is_file() and measure(path).sha256 == sha256):
            await self.fetch(project, sha256, path)
        return path

    async def exists(self, project: str, sha256: str) -> bool:
        return await asyncio.to_thread(self._size, _blob(project, sha256)) is not None

    async def delete(self, project: str, sha256: str) -> None:
        await asyncio.to_thread(self._remove, _blob(project, sha256))

    def list(self, project: str) -> AsyncIterator[Stored]:
        return _in_thread(self._stored(f"{require_project(project)}/blobs/", ""), _LISTED_AT_ONCE)

    async def put_document(self, project: str, digest: str, document: bytes) -> None:
        key = _document(project, digest)
        with open_source(document) as raw:
            await asyncio.to_thread(self._write, key, CheckedReader(raw, measure(document)))

    async def read_document(self, project: str, digest: str) -> bytes:
        key = _document(project, digest)
        return await asyncio.to_thread(lambda: b"".join(self._pieces(key, CHUNK)))

    async def delete_document(self, project: str, digest: str) -> None:
        await asyncio.to_thread(self._remove, _document(project, digest))

    def list_documents(self, project: str) -> AsyncIterator[Stored]:
        return _in_thread(self._stored(f"{require_project(project)}/manifests/", ".json"), _LISTED_AT_ONCE)

    async def put_alias(self, project: str, alias: str, document: bytes) -> None:
        key = _alias(project, alias)
        with open_source(document) as raw:
            await asyncio.to_thread(self._write, key, CheckedReader(raw, measure(document)))

    async def read_alias(self, project: str, alias: str) -> bytes:
        key = _alias(project, alias)
        return await asyncio.to_thread(lambda: b"".join(self._pieces(key, CHUNK)))

    def _put(self, project: str, source: bytes | Path) -> Blob:
        blob = measure(source)
        key = _blob(project, blob.sha256)
        if not self._refresh(key, blob.size):
            with open_source(source) as raw:
                self._write(key, CheckedReader(raw, blob))
        return blob

    def _stored(self, prefix: str, suffix: str) -> Generator[Stored, None, None]:
        for name, size, modified in self._scan(prefix):
            digest = name.removesuffix(suffix)
            if name.endswith(suffix) and is_digest(digest):
                yield Stored(digest, size, modified)


def _blob(project: str, sha256: str) -> str:
    return f"{require_project(project)}/blobs/{require_digest(sha256)}"


def _document(project: str, digest: str) -> str:
    return f"{require_project(project)}/manifests/{require_digest(digest)}.json"


def _alias(project: str, alias: str) -> str:
    return f"{require_project(project)}/aliases/{require_alias(alias)}.json"


async def _in_thread(items: Iterator[T], at_once: int = 1) -> AsyncIterator[T]:
    """Runs a blocking generator in worker threads, `at_once` items a step."""
    while batch := await asyncio.to_thread(lambda: tuple(islice(items, at_once))):
        for item in batch:
            yield item
