"""After kill -9 of the process that owns Ray and programs, nothing of them is left."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from cultivar_launchers import FolderInUse, end_orphans

from tests.integration.launchers.conftest import marked

OWNER = """
import asyncio, sys
from pathlib import Path
from cultivar_launchers import LocalRay, LocalRayLauncher, Program

async def main():
    launcher = LocalRayLauncher(LocalRay(Path(sys.argv[1]), cpus=2))
    job = await launcher.start(Program("run", "cultivar_launchers.echo", {"pause": 600}))
    async for event in job.events():
        print(event.kind, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def owner(tmp_path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert [process.stdout.readline() for _ in range(2)] == ["ready\n", "progress\n"]
    return process


def _kill(*processes: "psutil.Process | subprocess.Popen[str]") -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait(timeout=10)


def test_a_killed_owner_leaves_nothing(owner: "subprocess.Popen[str]", tmp_path: Path) -> None:
    with pytest.raises(FolderInUse):
        end_orphans(tmp_path)
    names = {process.name() for process in marked(tmp_path)}
    assert {"gcs_server", "raylet"} <= names
    assert any(name.startswith("ray::") for name in names), "processes that changed their titles keep the mark"
    _kill(owner)
    end_orphans(tmp_path)
    assert marked(tmp_path) == []


def test_a_killed_owner_leaves_nothing_even_if_nobody_cleans(owner: "subprocess.Popen[str]", tmp_path: Path) -> None:
    _kill(owner)
    deadline = time.monotonic() + 10
    while marked(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert marked(tmp_path) == []


def test_orphans_are_ended_when_the_guards_were_killed_too(owner: "subprocess.Popen[str]", tmp_path: Path) -> None:
    guards = [process for process in marked(tmp_path) if "guard.py" in " ".join(process.cmdline())]
    assert len(guards) == 2
    for process in marked(tmp_path):
        if process.name() in {"raylet", "gcs_server"}:
            process.suspend()
    _kill(owner, *guards)
    end_orphans(tmp_path)
    assert marked(tmp_path) == []
