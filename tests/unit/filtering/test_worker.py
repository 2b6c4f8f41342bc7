"""The worker process: it dies with its parent, is made again after it died, and leaves no folder."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from cultivar_filtering.worker import Worker
from cultivar_service.errors import Unavailable


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    """A worker, closed at the end."""
    made = Worker()
    yield made
    await made.close()


async def test_it_is_one_process_and_another_than_ours(worker: Worker) -> None:
    first, second = await asyncio.gather(worker.call(os.getpid), worker.call(os.getpid))
    assert first == second != os.getpid()
    assert await worker.call(os.nice, 0) > os.nice(0)


async def test_what_a_function_raises_is_raised_here(worker: Worker) -> None:
    with pytest.raises(ZeroDivisionError):
        await worker.call(divmod, 1, 0)


async def test_a_worker_that_was_killed_is_unavailable_once_and_then_made_again(worker: Worker) -> None:
    first = await worker.call(os.getpid)
    with pytest.raises(Unavailable, match="worker process"):
        await worker.call(os.kill, first, signal.SIGKILL)
    assert await worker.call(os.getpid) != first


async def test_closing_ends_the_process_and_removes_its_folder(worker: Worker) -> None:
    process, folder = psutil.Process(await worker.call(os.getpid)), worker.folder
    await worker.close()
    assert not process.is_running()
    assert not folder.exists()


PARENT = """
import asyncio, os, sys
from cultivar_filtering.worker import Worker

async def main() -> None:
    worker = Worker()
    print(await worker.call(os.getpid), worker.folder, flush=True)
    await asyncio.sleep(600)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_a_parent_that_is_killed_leaves_neither_worker_nor_folder(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, folder = parent.stdout.readline().split()
    process = psutil.Process(int(pid))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert not Path(folder).exists()
