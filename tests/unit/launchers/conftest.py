"""Launchers to hold against the protocol: the fake, and real processes that never ask for Ray."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
import pytest_asyncio
from cultivar_launchers import Event, Failure, FakeLauncher, Launcher, Program, StandingRayLauncher
from cultivar_launchers.fake import Script


def _steady(program: Program) -> Iterable[Event | str]:
    yield "a line of the log"
    for step in range(program.spec.get("steps", 3)):
        yield Event("progress", {"done": step + 1})
    yield Event("result", {"attempt": program.attempt, "echo": program.spec.get("echo")})


def _crashing(program: Program) -> Iterable[Event | str]:
    raise ZeroDivisionError("on purpose")


def _one_step(program: Program) -> Iterable[Event | str]:
    yield Event("progress", {"done": 1})


def _endless(program: Program) -> Iterable[Event | str]:
    yield Event("ready")


def _fake() -> FakeLauncher:
    scripts: dict[str, Script] = {"steady": _steady, "crashing": _crashing, "failing": _one_step}
    scripts |= {"endless": _endless, "stubborn": _endless}
    attempts = range(1, 5)
    failures = {("failing", n): Failure(after=1, exit_code=3, error="the rows ran out") for n in attempts}
    failures |= {("endless", n): Failure(after=1, hangs=True) for n in attempts}
    failures |= {("stubborn", n): Failure(after=1, ignores_stop=True) for n in attempts}
    return FakeLauncher(scripts, failures)


@pytest_asyncio.fixture(params=["fake", "processes"])
async def launcher(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Launcher]:
    made: Launcher = _fake() if request.param == "fake" else StandingRayLauncher("127.0.0.1:1", tmp_path)
    yield made
    await made.close(0)
