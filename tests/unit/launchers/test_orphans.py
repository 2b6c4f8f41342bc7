"""What an earlier process left is ended, and nothing else."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from cultivar_launchers import FolderInUse, end_orphans
from cultivar_launchers.ownership import owner_id, processes_folder

Sleeper = Callable[..., subprocess.Popen[bytes]]
DEAD = {"owner_pid": 2**22 + 1, "owner_created": 0.0}


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    started: list[subprocess.Popen[bytes]] = []

    def start(environment: Mapping[str, str] | None = None, command: tuple[str, ...] = ("sleep", "60")) -> object:
        process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **(environment or {})})
        started.append(process)
        return process

    yield start  # type: ignore[misc]
    for process in started:
        process.kill()
        process.wait()


def _record(data_dir: Path, pid: int, created: float, **owner: float) -> Path:
    path = processes_folder(data_dir) / f"{pid}.json"
    path.write_text(json.dumps({"pid": pid, "created": created, "name": "run", **DEAD, **owner}))
    return path


def _created(process: subprocess.Popen[bytes]) -> float:
    return psutil.Process(process.pid).create_time()


def test_a_folder_without_processes_is_left_as_it_is(tmp_path: Path) -> None:
    assert end_orphans(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


def test_a_recorded_process_is_ended(tmp_path: Path, sleeper: Sleeper) -> None:
    process = sleeper()
    record = _record(tmp_path, process.pid, _created(process))
    assert end_orphans(tmp_path) == (process.pid,)
    assert process.poll() is not None and not record.exists()


def test_a_reused_pid_is_left_alone(tmp_path: Path, sleeper: Sleeper) -> None:
    process = sleeper()
    record = _record(tmp_path, process.pid, _created(process) - 3600)
    assert end_orphans(tmp_path) == ()
    assert process.poll() is None and not record.exists()


def test_a_process_that_bears_the_mark_is_ended_without_a_record(tmp_path: Path, sleeper: Sleeper) -> None:
    ours = sleeper({"CULTIVAR_OWNER": owner_id(tmp_path)})
    another = sleeper({"CULTIVAR_OWNER": owner_id(tmp_path / "another")})
    unmarked = sleeper({"OTHER": owner_id(tmp_path)})
    assert end_orphans(tmp_path) == (ours.pid,)
    assert ours.poll() is not None
    assert another.poll() is None and unmarked.poll() is None


def test_the_unmarked_child_of_a_marked_process_is_ended(tmp_path: Path, sleeper: Sleeper) -> None:
    script = "import subprocess,time;print(subprocess.Popen(['sleep','60'],env={}).pid,flush=True);time.sleep(60)"
    environment = {"CULTIVAR_OWNER": owner_id(tmp_path), "PATH": os.environ["PATH"]}
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE)
    assert parent.stdout
    child = int(parent.stdout.readline())
    assert set(end_orphans(tmp_path)) == {parent.pid, child}
    parent.communicate(timeout=5)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_folder_whose_owner_lives_is_refused(tmp_path: Path, sleeper: Sleeper) -> None:
    owner, process = sleeper(), sleeper()
    _record(tmp_path, process.pid, _created(process), owner_pid=owner.pid, owner_created=_created(owner))
    with pytest.raises(FolderInUse, match=str(owner.pid)):
        end_orphans(tmp_path)
    assert process.poll() is None


def test_a_record_that_cannot_be_read_hides_no_other(tmp_path: Path, sleeper: Sleeper) -> None:
    process = sleeper()
    (processes_folder(tmp_path) / "1.json").write_text('{"pid": 1')
    (processes_folder(tmp_path) / "2.json").write_text('["pid"]')
    _record(tmp_path, process.pid, _created(process))
    assert end_orphans(tmp_path) == (process.pid,)
    assert [path.name for path in processes_folder(tmp_path).iterdir()] == ["owner"]
