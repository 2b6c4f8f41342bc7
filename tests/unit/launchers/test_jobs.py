"""A stale attempt is fenced off even where two starts of one name overlap."""

import pytest
from cultivar_launchers import Event, FakeLauncher, Program, StaleAttempt
from cultivar_launchers.fake import FakeJob
from cultivar_launchers.jobs import JobTable


def _program(name: str = "run", attempt: int = 1) -> Program:
    return Program(name, "module", attempt=attempt)


def _job(program: Program) -> FakeJob:
    return FakeJob(program, lambda program: [Event("ready")], None)


def test_the_same_attempt_cannot_be_started_twice_at_once() -> None:
    table = JobTable()
    with table.admit(_program()), pytest.raises(StaleAttempt), table.admit(_program()):
        pass


async def test_a_start_that_a_newer_one_overtook_is_refused() -> None:
    table = JobTable()
    with table.admit(_program(attempt=1)):
        with table.admit(_program(attempt=2)):
            newer = _job(_program(attempt=2))
            table.add(newer)
        with pytest.raises(StaleAttempt):
            table.add(_job(_program(attempt=1)))
    assert table.find("run") is newer


async def test_a_start_is_refused_while_a_newer_one_is_under_way() -> None:
    table = JobTable()
    with table.admit(_program(attempt=1)), table.admit(_program(attempt=2)), pytest.raises(StaleAttempt):
        table.add(_job(_program(attempt=1)))


def test_a_start_that_failed_can_be_tried_again() -> None:
    table = JobTable()
    with pytest.raises(OSError), table.admit(_program()):
        raise OSError
    with table.admit(_program()) as earlier:
        assert earlier is None


async def test_only_the_last_ended_jobs_are_kept() -> None:
    table = JobTable(ended_kept=3)
    for number in range(6):
        with table.admit(_program(f"run-{number}")):
            job = _job(_program(f"run-{number}"))
            table.add(job)
        await job.wait()
    table.add(_job(_program("last")))
    assert [number for number in range(6) if table.find(f"run-{number}")] == [3, 4, 5]


async def test_names_do_not_fence_each_other() -> None:
    launcher = FakeLauncher({"module": lambda program: [Event("result", {"of": program.name})]})
    for name in ("a", "b"):
        outcome = await (await launcher.start(_program(name))).wait()
        assert outcome.result == {"of": name}
