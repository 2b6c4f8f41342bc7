"""`cultivar up`: everything in one process, quick to answer, and gone without a trace."""

import asyncio
import time
from pathlib import Path

import grpc
import psutil
import pytest
from cultivar.client import Client
from cultivar.connection import find_connection
from cultivar.errors import NotConnected
from cultivar.generation.v1 import generation_pb2

from tests.processes import Server


def ask(data_dir: Path) -> int:
    """Asks a running server for its strategies."""
    with Client(find_connection(data_dir)) as client:
        return len(
            client.generation.ListStrategies(generation_pb2.ListStrategiesRequest(parent=client.parent)).strategies
        )


async def test_all_services_answer_within_ten_seconds_and_leave_nothing_behind(data_dir: Path) -> None:
    server, began = Server(data_dir), time.monotonic()
    await server.start()
    assert await asyncio.to_thread(ask, data_dir) >= 2
    # The first start also makes the database; the machine of CI may be busy with another lane.
    assert time.monotonic() - began < 30
    began = time.monotonic()
    assert await server.stop() == 0
    await server.start()
    assert time.monotonic() - began < 20
    assert server.process is not None
    family = psutil.Process(server.process.pid).children(recursive=True)
    assert await server.stop() == 0
    assert [process for process in family if process.is_running()] == []
    assert not [process for process in psutil.process_iter() if str(data_dir) in " ".join(cmdline(process))]
    # DuckDB's binding prints a page at the end of a process in which something outlived the interpreter.
    assert "leaked" not in (data_dir / "up.log").read_text()
    with pytest.raises(NotConnected, match="cultivar up"):
        find_connection(data_dir)


def cmdline(process: psutil.Process) -> list[str]:
    """The command line of a process; empty when it has gone."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def test_a_second_process_on_the_same_folder_is_refused_in_one_sentence(data_dir: Path) -> None:
    server = Server(data_dir, "--only", "generation")
    await server.start()
    second = Server(data_dir, "--only", "generation")
    with pytest.raises(AssertionError, match="in use by process"):
        await asyncio.gather(second.start())
    assert await server.stop() == 0


async def test_after_kill_9_the_next_start_takes_over_what_was_left(data_dir: Path) -> None:
    server = Server(data_dir, "--only", "generation")
    await server.start()
    await server.kill()
    await server.start()
    assert await asyncio.to_thread(ask, data_dir) >= 2
    assert await server.stop() == 0
    assert not [process for process in psutil.process_iter() if str(data_dir) in " ".join(cmdline(process))]


async def test_a_killed_server_is_said_to_be_gone(data_dir: Path) -> None:
    server = Server(data_dir, "--only", "generation")
    await server.start()
    await server.kill()
    with pytest.raises(grpc.RpcError):
        await asyncio.to_thread(ask, data_dir)
    await server.start()
    await server.stop()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--only", "reviews"), "there is no service 'reviews'"),
        (("--data-dir", "/proc/none"), "cannot be written"),
    ],
)
async def test_a_wrong_flag_is_said_in_one_sentence(data_dir: Path, flags: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        await Server(data_dir, *flags).start()
