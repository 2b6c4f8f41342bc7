"""What every launcher does; `launcher` is a fixture of the folder that runs these tests."""

from pathlib import Path
from typing import Any

import pytest
from cultivar_launchers import Event, Job, Launcher, Program, StaleAttempt

PROGRAMS = Path(__file__).with_name("programs")


def program(module: str, attempt: int = 1, **spec: Any) -> Program:
    return Program(module, module, spec, env={"PYTHONPATH": str(PROGRAMS)}, attempt=attempt)


async def first_event(job: Job) -> Event:
    async for event in job.events():
        return event
    raise AssertionError(f"{job.name} said nothing: {await job.wait()}")


async def test_a_program_gives_its_events_in_order_and_its_result(launcher: Launcher) -> None:
    job = await launcher.start(program("steady", echo={"a": [1, "ü"]}))
    events = [event async for event in job.events()]
    outcome = await job.wait()
    assert [event.fields["done"] for event in events if event.kind == "progress"] == [1, 2, 3]
    assert events[-1].kind == "result"
    assert outcome.exit_code == 0 and outcome.error is None
    assert outcome.result == {"attempt": 1, "echo": {"a": [1, "ü"]}}
    assert outcome.log_tail == ("a line of the log",)


async def test_events_can_be_read_again_after_the_end(launcher: Launcher) -> None:
    job = await launcher.start(program("steady"))
    await job.wait()
    first = [event async for event in job.events()]
    assert len(first) == 4
    assert [event async for event in job.events()] == first


async def test_a_program_that_nobody_reads_comes_to_its_end(launcher: Launcher) -> None:
    job = await launcher.start(program("steady", steps=5000))
    outcome = await job.wait()
    assert outcome.exit_code == 0 and outcome.result is not None


async def test_a_reported_error_and_the_exit_code_are_the_outcome(launcher: Launcher) -> None:
    outcome = await (await launcher.start(program("failing"))).wait()
    assert (outcome.exit_code, outcome.error, outcome.result) == (3, "the rows ran out", None)


async def test_a_crash_names_the_exit_code_and_leaves_its_trace_in_the_log(launcher: Launcher) -> None:
    outcome = await (await launcher.start(program("crashing"))).wait()
    assert outcome.exit_code == 1
    assert outcome.error and "exit code 1" in outcome.error
    assert any("ZeroDivisionError: on purpose" in line for line in outcome.log_tail)


async def test_a_stopped_program_says_so(launcher: Launcher) -> None:
    job = await launcher.start(program("endless"))
    assert (await first_event(job)).kind == "ready"
    await job.stop(grace=5)
    outcome = await job.wait()
    assert (outcome.exit_code, outcome.error) == (143, "the program was stopped")


async def test_a_program_that_ignores_the_request_is_ended_after_the_grace(launcher: Launcher) -> None:
    job = await launcher.start(program("stubborn"))
    await first_event(job)
    await job.stop(grace=0.1)
    assert (await job.wait()).exit_code == 137


async def test_stopping_twice_or_after_the_end_changes_nothing(launcher: Launcher) -> None:
    job = await launcher.start(program("steady"))
    outcome = await job.wait()
    await job.stop(grace=1)
    await job.stop(grace=1)
    assert await job.wait() == outcome and outcome.error is None


async def test_a_job_is_found_by_its_name_running_and_ended(launcher: Launcher) -> None:
    assert launcher.find("endless") is None
    job = await launcher.start(program("endless"))
    assert launcher.find("endless") is job
    await job.stop(grace=5)
    assert launcher.find("endless") is job


@pytest.mark.parametrize("attempt", [1, 2])
async def test_a_stale_attempt_starts_nothing(launcher: Launcher, attempt: int) -> None:
    job = await launcher.start(program("endless", attempt=2))
    with pytest.raises(StaleAttempt):
        await launcher.start(program("endless", attempt=attempt))
    assert launcher.find("endless") is job


async def test_a_newer_attempt_ends_the_one_before(launcher: Launcher) -> None:
    before = await launcher.start(program("endless", attempt=1))
    await first_event(before)
    after = await launcher.start(program("endless", attempt=2))
    assert (await before.wait()).error == "the program was stopped"
    assert (await first_event(after)).kind == "ready"
    assert launcher.find("endless") is after


async def test_close_stops_every_job(launcher: Launcher) -> None:
    jobs = [await launcher.start(program("endless")), await launcher.start(program("stubborn"))]
    for job in jobs:
        await first_event(job)
    await launcher.close(grace=0.1)
    assert [(await job.wait()).error for job in jobs] == ["the program was stopped"] * 2
