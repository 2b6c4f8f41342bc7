"""Files that appear whole and lasting, or not at all."""

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cultivar_artifacts.errors import StoreFull, StoreUnavailable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns what the operating system says into `StoreFull` or `StoreUnavailable`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(
                f"no room left in {folder} ({error.strerror}); nothing was stored: free space or give it a larger disk"
            ) from error
        raise StoreUnavailable(
            f"{folder} cannot be used ({error.strerror}): check that it is mounted and may be written to"
        ) from error


def replace_file(path: Path, pieces: Iterable[bytes], incoming: Path) -> None:
    """Writes pieces to a new file in `incoming`, on the same disk, and moves it to `path` once it is on the disk.

    When anything fails, nothing of it stays. Raises `StoreFull`, `StoreUnavailable`, and what `pieces` raises.
    """
    with disk_errors(path.parent):
        _make_folder(incoming)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=incoming)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            _make_folder(path.parent)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def _make_folder(folder: Path) -> None:
    """Makes a folder and those above it; each new entry is on the disk before anything relies on it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
