"""Finds a folder for Ray's session whose unix sockets have names that the kernel can hold."""

import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

MAX_SOCKET_PATH = 107 if sys.platform == "linux" else 103
# What Ray appends: /session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store, and a little for growth.
_SESSION_PART = 68
_PREFIX = "cultivar-ray-"


def session_folder(data_dir: Path) -> Path:
    """Returns an empty folder for a new session: `<data>/ray/s`, or a short temporary one if that is too long.

    A temporary folder is written down in `<data>/ray/session-folder`. What earlier sessions left is removed.
    """
    forget_session_folder(data_dir)
    home = ray_folder(data_dir)
    own = home / "s"
    if fits(own):
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir(mode=0o700)
        return own
    short = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_short_root()))
    (home / "session-folder").write_text(str(short))
    return short


def forget_session_folder(data_dir: Path) -> None:
    """Removes the temporary session folder, if one is on record and it is still ours."""
    note = data_dir / "ray" / "session-folder"
    if not note.is_file():
        return
    folder = Path(note.read_text())
    if folder.name.startswith(_PREFIX) and _is_ours(folder):
        shutil.rmtree(folder, ignore_errors=True)
    note.unlink(missing_ok=True)


def ray_folder(data_dir: Path) -> Path:
    """Returns `<data>/ray`, made for its owner's eyes only."""
    folder = data_dir.resolve() / "ray"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def fits(folder: Path) -> bool:
    """Tells whether Ray's sockets under the folder have names of at most 107 bytes (103 outside Linux)."""
    return len(os.fsencode(folder)) + _SESSION_PART <= MAX_SOCKET_PATH


def _short_root() -> Path:
    root = Path(tempfile.gettempdir())
    return root if fits(root / (_PREFIX + "12345678")) else Path("/tmp")


def _is_ours(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
