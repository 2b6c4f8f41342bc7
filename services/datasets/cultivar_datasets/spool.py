"""The spool: where the bytes of an upload lie until they are whole. Every call here blocks; call it in a thread."""

import fcntl
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from cultivar_artifacts.atomic import disk_errors
from cultivar_service.errors import StartError

from cultivar_datasets.errors import UploadBroken, UploadBusy

SUFFIX = ".part"


class Draft:
    """The file of one upload, held by one call alone; `keep` says whether it stays when the call ends before it."""

    def __init__(self, path: Path, handle: int, received: int, keep: bool) -> None:
        self.path = path
        self.received = received
        self.keep = keep
        # A buffered file lets `close` wait for a write that a cancelled call left in its thread.
        self._file = os.fdopen(handle, "r+b")
        self._file.seek(received)

    def write(self, chunk: bytes) -> None:
        """Appends bytes; raises StoreFull or StoreUnavailable."""
        with disk_errors(self.path.parent):
            self._file.write(chunk)
            self.received += len(chunk)

    def flush(self) -> None:
        """Hands what is buffered to the operating system, so that the file can be read; raises StoreFull."""
        with disk_errors(self.path.parent):
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The buffer cannot be written where the disk is full; the descriptor is closed all the same.
        with suppress(OSError):
            self._file.close()
        if not self.keep:
            self.path.unlink(missing_ok=True)


class Spool:
    """A private folder of drafts, named by project and digest."""

    def __init__(self, folder: Path, abandoned_seconds: float) -> None:
        self.folder = folder
        self._abandoned_seconds = abandoned_seconds

    def prepare(self) -> None:
        """Makes the folder; raises StartError where it is not this user's own."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            mine = self.folder.stat().st_uid == os.getuid() and not self.folder.is_symlink()
        except OSError as error:
            raise StartError(f"{self.folder} cannot be made: {error.strerror}; set CULTIVAR_DATASETS_SPOOL") from error
        if not mine:
            raise StartError(f"{self.folder} is another user's: set CULTIVAR_DATASETS_SPOOL to a folder of your own")

    def received(self, project: str, sha256: str) -> int:
        """Returns how many bytes of an upload are here."""
        with suppress(FileNotFoundError):
            return self._path(project, sha256).stat().st_size
        return 0

    def open(self, project: str, sha256: str, offset: int) -> Draft:
        """Opens the draft of a digest at an offset, and forgets what was received after it.

        While another call holds it, a call that begins at 0 gets a draft of its own, which does not outlive the call;
        so does one without a digest. Raises UploadBusy for a later offset then, UploadBroken for one not received yet.
        """
        with disk_errors(self.folder):
            handle = self._lock(self._path(project, sha256)) if sha256 else None
            if handle is None:
                return self._own(project, offset, sha256)
            received = os.fstat(handle).st_size
            if offset > received:
                os.close(handle)
                raise not_received(offset, received)
            os.ftruncate(handle, offset)
            return Draft(self._path(project, sha256), handle, offset, keep=True)

    def _lock(self, path: Path) -> int | None:
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                return None
            # Whoever held it before may have removed it; then this handle is of a file without a name.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
            os.close(handle)

    def _own(self, project: str, offset: int, sha256: str) -> Draft:
        if offset:
            raise UploadBusy() if sha256 else not_received(offset, 0)
        handle, name = tempfile.mkstemp(prefix=f"{project}--", suffix=SUFFIX, dir=self.folder)
        fcntl.flock(handle, fcntl.LOCK_EX)
        return Draft(Path(name), handle, 0, keep=False)

    def _path(self, project: str, sha256: str) -> Path:
        return self.folder / f"{project}-{sha256}{SUFFIX}"

    def remove_abandoned(self) -> int:
        """Removes drafts that nobody wrote to for long and nobody holds; returns how many."""
        removed = 0
        for path in self.folder.glob(f"*{SUFFIX}"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime > time.time() - self._abandoned_seconds:
                    continue
                handle = self._lock(path)
                if handle is None:
                    continue
                path.unlink()
                os.close(handle)
                removed += 1
        return removed


def not_received(offset: int, received: int) -> UploadBroken:
    """Returns the error of a stream that begins where nothing was received yet."""
    return UploadBroken(f"the stream begins at byte {offset} and {received} were received: begin at {received} or at 0")
