"""Nothing that a program started lives on: not after its end, nor after the death of its guard or its owner."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from cultivar_launchers import Program, StandingRayLauncher
from cultivar_launchers.ownership import OWNER_VARIABLE, owner_id

PROGRAMS = Path(__file__).with_name("programs")
GUARD = Path(__file__).parents[3] / "libs/launchers/cultivar_launchers/guard.py"
OWNER = """
import asyncio, sys
from pathlib import Path
from cultivar_launchers import Program, StandingRayLauncher

async def main():
    launcher = StandingRayLauncher("127.0.0.1:1", Path(sys.argv[1]))
    job = await launcher.start(Program("run", "parent", {"waits": True}, {"PYTHONPATH": sys.argv[2]}))
    async for event in job.events():
        print(event.fields["pid"], flush=True)

asyncio.run(main())
"""


def _marked(data_dir: Path) -> list[int]:
    owner = owner_id(data_dir)
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(OWNER_VARIABLE) == owner and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def _wait_until_none(data_dir: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while left := _marked(data_dir):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.01)


def _guard(data_dir: Path, *command: str) -> list[str]:
    records = data_dir / "processes"
    owner = ["--owner", str(os.getpid()), "--records", str(records), "--name", "run"]
    return [sys.executable, "-P", str(GUARD), *owner, "--", *command]


async def test_what_a_program_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    launcher = StandingRayLauncher("127.0.0.1:1", tmp_path)
    job = await launcher.start(Program("run", "parent", {}, {"PYTHONPATH": str(PROGRAMS)}))
    assert (await job.wait()).exit_code == 0
    assert _marked(tmp_path) == []


async def test_a_stopped_program_takes_its_descendants_along(tmp_path: Path) -> None:
    launcher = StandingRayLauncher("127.0.0.1:1", tmp_path)
    job = await launcher.start(Program("run", "parent", {"waits": True}, {"PYTHONPATH": str(PROGRAMS)}))
    async for event in job.events():
        assert event.fields["pid"] in _marked(tmp_path)
        break
    await job.stop(grace=5)
    assert _marked(tmp_path) == []


def test_when_the_owner_is_killed_its_programs_end_at_once(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path), str(PROGRAMS)], stdout=subprocess.PIPE)
    assert owner.stdout
    try:
        hidden = int(owner.stdout.readline())
        assert hidden in _marked(tmp_path) and len(_marked(tmp_path)) == 3
    finally:
        owner.kill()
    owner.communicate()
    _wait_until_none(tmp_path, seconds=2)


async def test_when_the_guard_is_killed_its_program_ends_at_once(tmp_path: Path) -> None:
    launcher = StandingRayLauncher("127.0.0.1:1", tmp_path)
    job = await launcher.start(Program("run", "endless", {}, {"PYTHONPATH": str(PROGRAMS)}))
    async for _ in job.events():
        psutil.Process(job.pid).kill()
    assert (await job.wait()).exit_code == 137
    _wait_until_none(tmp_path, seconds=2)


def test_the_end_of_the_thread_that_started_it_does_not_end_a_program(tmp_path: Path) -> None:
    owner_id(tmp_path)
    started: list[subprocess.Popen[bytes]] = []
    command = _guard(tmp_path, "sh", "-c", "echo begun; sleep 0.3; exit 7")

    def start() -> None:
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        assert started[0].stdout and started[0].stdout.readline() == b"begun\n"

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    started[0].communicate(timeout=5)
    assert started[0].returncode == 7


@pytest.mark.parametrize(("command", "code"), [("exit 0", 0), ("exit 9", 9), ("kill -15 $$", 143)])
def test_the_exit_code_is_the_programs_as_shells_have_it(tmp_path: Path, command: str, code: int) -> None:
    owner_id(tmp_path)
    assert subprocess.run(_guard(tmp_path, "sh", "-c", command), check=False).returncode == code
    assert [path.name for path in (tmp_path / "processes").iterdir()] == ["owner"]


def test_a_command_that_cannot_run_says_so(tmp_path: Path) -> None:
    owner_id(tmp_path)
    done = subprocess.run(_guard(tmp_path, "/nowhere/at/all"), check=False, capture_output=True, text=True)
    assert done.returncode == 127 and "/nowhere/at/all: No such file" in done.stderr


def test_a_guard_whose_owner_is_gone_starts_nothing(tmp_path: Path) -> None:
    owner_id(tmp_path)
    command = _guard(tmp_path, "touch", str(tmp_path / "made"))
    command[command.index("--owner") + 1] = "4194305"
    assert subprocess.run(command, check=False).returncode == 70
    assert not (tmp_path / "made").exists()
