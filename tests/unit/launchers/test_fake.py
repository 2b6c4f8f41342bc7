"""The fake fails as its script says, so that whoever uses a launcher can be tested against every failure."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from cultivar_launchers import Event, Failure, FakeLauncher, LaunchFailed, Program
from cultivar_launchers.fake import Step


def _three(program: Program) -> Iterator[Step]:
    for step in range(3):
        yield Event("progress", {"done": step})
    yield Event("result", {"from": program.spec.get("from", 0)})


async def _slow(program: Program) -> AsyncIterator[Step]:
    yield Event("ready")
    await asyncio.Event().wait()


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_an_attempt_fails_after_so_many_events_and_the_next_succeeds(after: int) -> None:
    launcher = FakeLauncher({"m": _three}, {("run", 1): Failure(after=after, exit_code=137)})
    first = await launcher.start(Program("run", "m"))
    assert (await first.wait()).exit_code == 137
    assert len([event async for event in first.events()]) == after
    second = await launcher.start(Program("run", "m", {"from": 7}, attempt=2))
    assert (await second.wait()).result == {"from": 7}


async def test_an_attempt_that_hangs_ends_only_when_it_is_stopped() -> None:
    launcher = FakeLauncher({"m": _three}, {("run", 1): Failure(after=2, hangs=True)})
    job = await launcher.start(Program("run", "m"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(job.wait(), 0.02)
    await job.stop(grace=1)
    assert len([event async for event in job.events()]) == 2


async def test_a_refused_start_can_be_tried_again_as_the_next_attempt() -> None:
    launcher = FakeLauncher({"m": _three}, {("run", 1): Failure(refused=True)})
    with pytest.raises(LaunchFailed):
        await launcher.start(Program("run", "m"))
    assert launcher.find("run") is None
    assert (await (await launcher.start(Program("run", "m", attempt=2))).wait()).exit_code == 0


async def test_an_asynchronous_script_runs_and_can_be_stopped() -> None:
    launcher = FakeLauncher({"m": _slow})
    job = await launcher.start(Program("run", "m"))
    async for event in job.events():
        assert event.kind == "ready"
        break
    await job.stop(grace=1)
    assert (await job.wait()).exit_code == 143


async def test_an_unknown_module_crashes_as_python_would() -> None:
    outcome = await (await FakeLauncher({}).start(Program("run", "nowhere"))).wait()
    assert outcome.exit_code == 1 and any("ModuleNotFoundError" in line for line in outcome.log_tail)
