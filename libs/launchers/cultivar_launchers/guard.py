"""Stands between the caller and one program, and lets nothing of the program live on.

Run as a script: `python guard.py --owner PID --records FOLDER --name NAME -- COMMAND…`. It is the program's parent and
the adopter of whatever the program leaves behind. It ends them all when the program ends, when it is told to, and
when its own parent dies (at once on Linux, within seconds elsewhere). It imports nothing of ours, so that it is small.

SIGTERM is passed on to the program. SIGUSR1 ends the program and all its descendants now. The exit code is the
program's, 128 + n after signal n.
"""

import argparse
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_OWNER_DIED = signal.SIGUSR2
_LOOK_SECONDS = 5.0
_ORPHANED = 70
_CANNOT_RUN = 127


def main() -> int:
    """Runs the command under guard and returns its exit code."""
    arguments = _arguments()
    signals = _listen()
    _control(_PR_SET_CHILD_SUBREAPER, 1)
    _control(_PR_SET_PDEATHSIG, _OWNER_DIED)
    # The owner may have died before the line above; only its pid tells.
    if os.getppid() != arguments.owner:
        return _ORPHANED
    records = [_record(arguments, os.getpid())]
    try:
        child = subprocess.Popen(arguments.command, preexec_fn=_die_with_guard(), stdin=subprocess.DEVNULL)
        records.append(_record(arguments, child.pid))
        return _follow(child.pid, arguments.owner, signals)
    except OSError as error:
        sys.stderr.write(f"cannot run {arguments.command[0]}: {error.strerror}\n")
        return _CANNOT_RUN
    finally:
        _end_descendants()
        for record in records:
            record.unlink(missing_ok=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--owner", type=int, required=True)
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def _listen() -> int:
    """Returns a pipe that gets one byte, the signal's number, for each signal."""
    incoming, outgoing = os.pipe()
    os.set_blocking(outgoing, False)
    signal.set_wakeup_fd(outgoing, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, _OWNER_DIED):
        signal.signal(number, lambda number, frame: None)
    return incoming


def _follow(child: int, owner: int, signals: int) -> int:
    while True:
        ready, _, _ = select.select([signals], [], [], _LOOK_SECONDS)
        received = os.read(signals, 4096) if ready else b""
        if (code := _reap(child)) is not None:
            return code
        # Linux tells of the death of the owner's *thread*: with the same parent still there it is no news.
        if os.getppid() != owner or signal.SIGUSR1 in received:
            return 128 + signal.SIGKILL
        if signal.SIGTERM in received:
            os.kill(child, signal.SIGTERM)


def _reap(child: int) -> int | None:
    """Takes the exit status of every process that ended, and returns that of `child` if it is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            exit_code = os.waitstatus_to_exitcode(status)
            code = exit_code if exit_code >= 0 else 128 - exit_code


def _end_descendants() -> None:
    guard = psutil.Process()
    while True:
        _reap(0)
        left = [process for process in guard.children(recursive=True) if _runs(process)]
        if not left:
            return
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.01)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _record(arguments: argparse.Namespace, pid: int) -> Path:
    """Writes down a process, so that it can be ended should this guard and its owner both be killed."""
    path = Path(arguments.records) / f"{pid}.json"
    owner = psutil.Process(arguments.owner)
    value = {
        "pid": pid,
        "created": psutil.Process(pid).create_time(),
        "name": arguments.name,
        "owner_pid": owner.pid,
        "owner_created": owner.create_time(),
    }
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(value))
    draft.rename(path)
    return path


def _control(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_guard() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    control = ctypes.CDLL(None).prctl
    return lambda: control(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
