"""Programs are started, reused while they wait, and stopped when nobody needs them."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cultivar_launchers import Event, FakeLauncher, Program
from cultivar_training.programs import Programs, Running

MODULE = "cultivar_training.program"


class Script:
    """A program that gives a result for each run, and waits in between as the real one does."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: list[str] = []

    async def __call__(self, program: Program) -> AsyncIterator[Event]:
        self.started.append(program.name)
        spec: dict[str, Any] = dict(program.spec)
        try:
            for number in range(1, 100):
                yield Event("progress", {"of": spec["of"]})
                yield Event("result", {"of": spec["of"]})
                if "inbox" not in spec or spec["of"] == "dies":
                    return
                path = Path(spec["inbox"]) / f"run-{number:05d}.json"
                while not path.exists():
                    await asyncio.sleep(0.01)
                spec = json.loads(path.read_text())
        finally:
            self.ended.append(program.name)


def program(name: str, workers: int = 2) -> Program:
    """A run as the service hands it over."""
    return Program(name, MODULE, {"of": name, "threads": 1}, cpus=workers)


async def result(running: Running) -> str:
    """Follows a run to its result, of which it says whose it is."""
    async for event in running.events:
        if event.kind == "result":
            return str(event.fields["of"])
    raise AssertionError("no result")


@pytest.fixture
def script() -> Script:
    return Script()


def programs_of(script: Script, folder: Path, idle_seconds: float = 30.0) -> Programs:
    """Programs whose module is the script."""
    return Programs(FakeLauncher({MODULE: script}), folder / "programs", idle_seconds)


async def test_the_next_run_of_the_same_shape_goes_to_the_program_that_waits(script: Script, tmp_path: Path) -> None:
    programs = programs_of(script, tmp_path)
    for name in ("a", "b", "c"):
        running = await programs.begin(program(name))
        assert await result(running) == name
        programs.keep(running)
    assert script.started == ["a"]
    await programs.close()
    assert script.ended == ["a"]
    assert not list((tmp_path / "programs").iterdir())


async def test_a_run_of_another_shape_ends_the_program_that_waits(script: Script, tmp_path: Path) -> None:
    programs = programs_of(script, tmp_path)
    first = await programs.begin(program("a"))
    await result(first)
    programs.keep(first)
    second = await programs.begin(program("b", workers=1))
    assert script.ended == ["a"]
    assert await result(second) == "b"
    await programs.end(second)


async def test_two_runs_at_once_have_a_program_each(script: Script, tmp_path: Path) -> None:
    programs = programs_of(script, tmp_path)
    both = [await programs.begin(program(name)) for name in ("a", "b")]
    assert [await result(running) for running in both] == ["a", "b"]
    assert script.started == ["a", "b"]
    for running in both:
        await programs.end(running)


async def test_a_program_waits_only_for_so_long(script: Script, tmp_path: Path) -> None:
    programs = programs_of(script, tmp_path, idle_seconds=0.1)
    running = await programs.begin(program("a"))
    await result(running)
    programs.keep(running)
    async with asyncio.timeout(5):
        while not script.ended:
            await asyncio.sleep(0.02)
    assert await result(await programs.begin(program("b"))) == "b"
    assert script.started == ["a", "b"]


async def test_a_program_that_ended_while_it_waited_is_not_given_a_run(script: Script, tmp_path: Path) -> None:
    programs = programs_of(script, tmp_path)
    running = await programs.begin(program("dies"))
    await result(running)
    programs.keep(running)
    await running.wait()
    await asyncio.sleep(0.05)
    assert await result(await programs.begin(program("b"))) == "b"
    assert script.started == ["dies", "b"]


async def test_without_idle_time_no_program_is_kept(script: Script, tmp_path: Path) -> None:
    programs = programs_of(script, tmp_path, idle_seconds=0)
    running = await programs.begin(program("a"))
    await result(running)
    assert (await running.wait()).exit_code == 0
    programs.keep(running)
    await asyncio.sleep(0.05)
    assert await result(await programs.begin(program("b"))) == "b"
    assert script.started == ["a", "b"]
