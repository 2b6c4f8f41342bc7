"""The artifact store in memory: the fake that tests and examples use."""

from collections.abc import Callable, Generator
from datetime import UTC, datetime

from cultivar_artifacts.checked import CheckedStore
from cultivar_artifacts.digests import CheckedReader
from cultivar_artifacts.errors import ArtifactMissing, StoreFull


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryStore(CheckedStore):
    """Keeps objects in `objects` (key to bytes) and their times in `modified`.

    `capacity` (bytes) makes it full; `clock` says when a put happens.
    """

    def __init__(self, capacity: int | None = None, clock: Callable[[], datetime] = _now) -> None:
        self.objects: dict[str, bytes] = {}
        self.capacity = capacity
        self.clock = clock
        self.modified: dict[str, datetime] = {}

    def _write(self, key: str, content: CheckedReader) -> None:
        others = sum(len(value) for other, value in tuple(self.objects.items()) if other != key)
        if self.capacity is not None and others + content.blob.size > self.capacity:
            raise StoreFull(f"the memory store holds {self.capacity} bytes at most; nothing was stored: raise capacity")
        whole = b"".join(content.pieces())
        self.modified[key] = self.clock()
        self.objects[key] = whole

    def _pieces(self, key: str, chunk: int) -> Generator[bytes, None, None]:
        content = self.objects.get(key)
        if content is None:
            raise ArtifactMissing(f"{key} is not stored in memory")
        for start in range(0, len(content), chunk):
            yield content[start : start + chunk]

    def _size(self, key: str) -> int | None:
        content = self.objects.get(key)
        return None if content is None else len(content)

    def _refresh(self, key: str, size: int) -> bool:
        if self._size(key) != size:
            return False
        self.modified[key] = self.clock()
        return True

    def _remove(self, key: str) -> None:
        self.objects.pop(key, None)

    def _scan(self, prefix: str) -> Generator[tuple[str, int, datetime], None, None]:
        for key, content in tuple(self.objects.items()):
            if key.startswith(prefix):
                yield key.removeprefix(prefix), len(content), self.modified[key]
