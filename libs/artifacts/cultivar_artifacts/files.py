"""The artifact store in a folder."""

import asyncio
import os
import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

from cultivar_artifacts.atomic import disk_errors, replace_file
from cultivar_artifacts.checked import CheckedStore
from cultivar_artifacts.digests import CheckedReader, checked
from cultivar_artifacts.errors import ArtifactMissing
from cultivar_artifacts.store import CHUNK, require_digest, require_project

_INCOMING = ".incoming"
_ABANDONED_S = 24 * 3600


class FileStore(CheckedStore):
    """Keeps each object in a file of its own: `{root}/{project}/blobs/{first two hex digits}/{sha256}`.

    An object is written beside, flushed to the disk and renamed, so a killed process leaves no half object; what it
    had begun lies in `{root}/.incoming` and is removed by the first store that is opened a day later.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        with disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            self._remove_abandoned()

    async def local(self, project: str, sha256: str, folder: Path) -> Path:
        path = self._path(f"{require_project(project)}/blobs/{require_digest(sha256)}")
        await asyncio.to_thread(self._check, path, sha256)
        return path

    def _check(self, path: Path, sha256: str) -> None:
        for _ in checked(self._pieces_of(path, CHUNK), sha256):
            pass

    def _write(self, key: str, content: CheckedReader) -> None:
        replace_file(self._path(key), content.pieces(), self.root / _INCOMING)

    def _pieces(self, key: str, chunk: int) -> Generator[bytes, None, None]:
        return self._pieces_of(self._path(key), chunk)

    def _pieces_of(self, path: Path, chunk: int) -> Generator[bytes, None, None]:
        with disk_errors(self.root):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                raise ArtifactMissing(f"{path.name} is not stored in {self.root}") from None
            with file:
                while piece := file.read(chunk):
                    yield piece

    def _size(self, key: str) -> int | None:
        with disk_errors(self.root):
            try:
                return self._path(key).stat().st_size
            except FileNotFoundError:
                return None

    def _refresh(self, key: str, size: int) -> bool:
        with disk_errors(self.root):
            try:
                os.utime(self._path(key))
            except FileNotFoundError:
                return False
        return self._size(key) == size

    def _remove(self, key: str) -> None:
        with disk_errors(self.root):
            self._path(key).unlink(missing_ok=True)

    def _scan(self, prefix: str) -> Generator[tuple[str, int, datetime], None, None]:
        with disk_errors(self.root):
            for path in (self.root / prefix).glob("*/*"):
                try:
                    stat = path.stat()
                except FileNotFoundError:
                    continue  # removed by somebody else since the folder was read
                yield path.name, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC)

    def _path(self, key: str) -> Path:
        project, kind, name = key.split("/")
        return self.root / project / kind / name[:2] / name

    def _remove_abandoned(self) -> None:
        for path in (self.root / _INCOMING).glob("*"):
            try:
                if path.stat().st_mtime < time.time() - _ABANDONED_S:
                    path.unlink()
            except FileNotFoundError:
                continue  # its writer has just finished
