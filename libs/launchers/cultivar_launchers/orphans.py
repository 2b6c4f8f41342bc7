"""Ends what an earlier process, killed before it could, left running on a data folder."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from cultivar_launchers.errors import FolderInUse, LauncherError
from cultivar_launchers.ownership import OWNER_VARIABLE, owner_id, processes_folder
from cultivar_launchers.session_folder import forget_session_folder

_CLOCK_TICK = 0.02
_ROUNDS = 50
_ROUND_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Record:
    """Holds what a guard wrote down of a process: pid, start time (seconds since 1970), name, and its owner's."""

    pid: int
    created: float
    name: str
    owner_pid: int
    owner_created: float


def end_orphans(data_dir: Path) -> tuple[int, ...]:
    """Ends all processes that belong to the data folder and returns their pids; call it before anything is started.

    They are those on record whose start time is the recorded one, those that bear the folder's mark in their
    environment, and the descendants of both. A pid that now belongs to another process is left alone. It blocks
    for as long as the kernel takes, usually below 0.2 s. Raises FolderInUse if their owner is alive.
    """
    if not (data_dir / "processes").is_dir():
        return ()
    records = tuple(read_records(data_dir))
    _check_owners(records)
    owner = owner_id(data_dir)
    ended: set[int] = set()
    for _ in range(_ROUNDS):
        found = _find(records, owner)
        if not found:
            _clean(data_dir)
            return tuple(sorted(ended))
        ended.update(process.pid for process in found)
        _kill(found)
    raise LauncherError(f"{len(found)} processes of {data_dir} cannot be ended; end them by hand and start again")


def read_records(data_dir: Path) -> Iterator[Record]:
    """Yields the records of `<data>/processes`; a record that cannot be read is passed over."""
    for path in sorted(processes_folder(data_dir).glob("*.json")):
        try:
            yield Record(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            continue


def _check_owners(records: tuple[Record, ...]) -> None:
    for record in records:
        owner = _process(record.owner_pid, record.owner_created)
        if owner is not None and owner.pid != os.getpid():
            raise FolderInUse(f"process {owner.pid} works on this data folder; stop it first, or use another folder")


def _find(records: tuple[Record, ...], owner: str) -> list[psutil.Process]:
    roots = [process for record in records if (process := _process(record.pid, record.created))]
    roots += [process for process in psutil.process_iter() if _bears(process, owner)]
    found = set(roots)
    for process in roots:
        try:
            found.update(process.children(recursive=True))
        except psutil.Error:
            continue
    kin = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process in found if process.pid not in kin and _lives(process)]


def _process(pid: int, created: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - created) <= _CLOCK_TICK
    except psutil.Error:
        return None
    return process if same and _lives(process) else None


def _bears(process: psutil.Process, owner: str) -> bool:
    try:
        return process.environ().get(OWNER_VARIABLE) == owner
    except (psutil.Error, OSError):
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=_ROUND_SECONDS)


def _clean(data_dir: Path) -> None:
    for path in processes_folder(data_dir).iterdir():
        if path.name != "owner":
            path.unlink(missing_ok=True)
    forget_session_folder(data_dir)
