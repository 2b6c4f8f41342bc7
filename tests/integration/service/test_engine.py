"""Durable runs: one holder at a time, nothing done twice, nothing lost."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from cultivar_service import leases, tables
from cultivar_service.audit import audit_runs
from cultivar_service.database import Database
from cultivar_service.engine import MOST_FAILURES, Engine
from cultivar_service.errors import FailedPrecondition, InvalidArgument, StaleLease, Unavailable
from cultivar_service.holds import Away, Hold, Settled, Wait
from cultivar_service.principal import SYSTEM
from cultivar_service.runs import CANCELLED, FAILED, PENDING, SUCCEEDED, WAITING, Run, Runs
from google.protobuf.struct_pb2 import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

STEPS = 6


class Counting:
    """Work of six steps; says which were done, and can be told to stumble."""

    def __init__(self, pause: float = 0.01) -> None:
        self.pause = pause
        self.done: list[tuple[str, int]] = []
        self.stumble: list[Exception] = []
        self.lose = 0

    async def advance(self, hold: Hold) -> None:
        for step in range(hold.cursor.get("next", 0), STEPS):
            await asyncio.sleep(self.pause)
            if self.stumble:
                raise self.stumble.pop()
            async with hold.commit(next=step + 1):
                self.done.append((hold.run.id, step))

    async def settle(self, hold: Hold, connection: AsyncConnection) -> Settled:
        done = hold.cursor.get("next", 0)
        return Settled({"steps": done}, inputs=done, outputs={"done": done - self.lose})


def engine(database: Database, work: Counting, **changed: Any) -> Engine:
    """An engine of one kind of run whose leases lapse soon."""
    return Engine(database, {"counting": work}, **{"slots": 4, "lease_seconds": 1.0, **changed})


async def finish(runs: Runs, run: Run) -> Run:
    """Follows a run to its end."""
    async with asyncio.timeout(30):
        async for change in runs.watch(run.project, run.id):
            run = change
    return run


@pytest.fixture
def runs(database: Database) -> Runs:
    """The runs of the example."""
    return Runs(database, "counting", "countingRuns")


async def test_two_engines_share_the_runs_and_no_step_is_done_twice(database: Database, runs: Runs) -> None:
    work = Counting()
    made = [await runs.create(SYSTEM, "default", f"r{number}", {"n": number}) for number in range(20)]
    engines = [engine(database, work), engine(database, work)]
    for each in engines:
        each.start()
    ended = [await finish(runs, run) for run in made]
    for each in engines:
        await each.drain()
    assert {run.state for run in ended} == {SUCCEEDED}
    assert sorted(work.done) == sorted({(run.id, step) for run in made for step in range(STEPS)})


async def test_an_engine_goes_on_taking_runs_though_it_could_not_for_a_reason_nobody_foresaw(
    database: Database, runs: Runs
) -> None:
    run = await runs.create(SYSTEM, "default", "", {})
    async with database.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE run RENAME TO elsewhere"))
    only = engine(database, Counting())
    only.start()
    await asyncio.sleep(0.7)
    async with database.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO run"))
    assert (await finish(runs, run)).state == SUCCEEDED
    await only.drain()


async def test_a_database_whose_connections_are_all_in_use_is_one_that_does_not_answer(database: Database) -> None:
    small = Database(database.engine.url.render_as_string(hide_password=False), database.schema, connections=1)
    small.engine.pool._timeout = 0.1  # type: ignore[attr-defined]
    async with small.begin():
        with pytest.raises(Unavailable, match="the database does not answer"):
            async with small.begin():
                raise AssertionError("there is but one connection")
    await small.close()


@pytest.mark.parametrize("moments", range(6))
async def test_an_engine_ends_at_whatever_moment_after_a_nudge_it_is_drained_and_takes_no_more(
    database: Database, runs: Runs, moments: int
) -> None:
    idle = engine(database, Counting())
    idle.start()
    await asyncio.sleep(0.2)
    idle.nudge()
    for _ in range(moments):
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await idle.drain()
    made = await runs.create(SYSTEM, "default", "", {})
    idle.nudge()
    await asyncio.sleep(0.1)
    assert (await runs.get("default", made.id)).state == PENDING


async def test_a_drained_run_is_given_back_and_goes_on_elsewhere_where_it_was(database: Database, runs: Runs) -> None:
    work = Counting(pause=0.1)
    first, second = engine(database, work), engine(database, work)
    run = await runs.create(SYSTEM, "default", "", {})
    first.start()
    async for change in runs.watch("default", run.id):
        if change.cursor.get("next", 0) >= 2:
            break
    await first.drain()
    second.start()
    assert (await finish(runs, run)).state == SUCCEEDED
    await second.drain()
    assert [step for _, step in work.done] == list(range(STEPS))


async def test_whoever_watches_a_run_where_it_is_worked_on_hears_of_its_end_at_once(
    database: Database, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cultivar_service.runs.WATCH_SECONDS", 25.0)
    only = engine(database, Counting())
    run = await runs.create(SYSTEM, "default", "", {})
    only.start()
    async with asyncio.timeout(5):
        assert [change async for change in runs.watch("default", run.id)][-1].state == SUCCEEDED
    await only.drain()


async def test_a_stale_token_changes_nothing(database: Database, runs: Runs) -> None:
    run = await runs.create(SYSTEM, "default", "", {})
    take: dict[str, Any] = {"where": sa.true(), "order": tables.run.c.id, "owner": "a", "seconds": 0.05}
    async with database.begin() as connection:
        await leases.take(connection, tables.run, **take)
    await asyncio.sleep(0.1)
    async with database.begin() as connection:
        later = await leases.take(connection, tables.run, **{**take, "seconds": 10})
    assert later is not None
    with pytest.raises(StaleLease):
        async with Hold(database, Run.of({**later, "lease_token": 1})).commit(next=9):
            pass
    assert (await runs.get("default", run.id)).cursor == {}


async def test_a_lease_that_lapsed_is_stale_even_when_nobody_took_it(database: Database, runs: Runs) -> None:
    await runs.create(SYSTEM, "default", "", {})
    async with database.begin() as connection:
        taken = await leases.take(
            connection, tables.run, where=sa.true(), order=tables.run.c.id, owner="a", seconds=0.05
        )
    assert taken is not None
    await asyncio.sleep(0.1)
    with pytest.raises(StaleLease):
        async with Hold(database, Run.of(taken)).commit(next=1):
            pass


async def test_twenty_takers_of_five_rows_get_each_row_once(database: Database, runs: Runs) -> None:
    for _ in range(5):
        await runs.create(SYSTEM, "default", "", {})

    async def take(owner: int) -> Any:
        async with database.begin() as connection:
            return await leases.take(
                connection, tables.run, where=sa.true(), order=tables.run.c.id, owner=str(owner), seconds=30
            )

    taken = [row["id"] for row in await asyncio.gather(*(take(owner) for owner in range(20))) if row is not None]
    assert len(taken) == len(set(taken)) == 5


async def test_an_error_that_may_pass_is_waited_out_and_one_that_lasts_fails_the_run(
    database: Database, runs: Runs
) -> None:
    work = Counting()
    work.stumble = [Unavailable("the teacher does not answer")]
    first = engine(database, work)
    first.start()
    assert (await finish(runs, await runs.create(SYSTEM, "default", "", {}))).state == SUCCEEDED
    # Whoever takes the run: on a machine that stands still for a second its lease lapses, and it is taken again.
    work.stumble = [FailedPrecondition("the seeds are empty") for _ in range(3)]
    failed = await finish(runs, await runs.create(SYSTEM, "default", "", {}))
    await first.drain()
    assert failed.state == FAILED
    assert failed.error is not None
    assert failed.error["message"] == "the seeds are empty"


async def test_a_run_that_lost_a_row_does_not_succeed(database: Database, runs: Runs) -> None:
    work = Counting()
    work.lose = 1
    first = engine(database, work)
    first.start()
    async with asyncio.timeout(10):
        run = await runs.create(SYSTEM, "default", "", {})
        async for change in runs.watch("default", run.id):
            if change.failures or change.final:
                run = change
                break
    await first.drain()
    assert run.state != SUCCEEDED


async def test_a_paused_run_rests_until_it_is_resumed(database: Database, runs: Runs) -> None:
    work = Counting(pause=0.3)
    first = engine(database, work)
    run = await runs.create(SYSTEM, "default", "", {})
    first.start()
    await asyncio.sleep(0.4)
    await runs.pause(SYSTEM, "default", run.id)
    await asyncio.sleep(2.2)
    before = len(work.done)
    await asyncio.sleep(0.8)
    paused = await runs.get("default", run.id)
    assert (paused.state, paused.waiting_for, len(work.done)) == (WAITING, "resume", before)
    await runs.resume(SYSTEM, "default", run.id)
    assert (await finish(runs, run)).state == SUCCEEDED
    await first.drain()
    assert [step for _, step in work.done] == list(range(STEPS))


async def test_work_that_waits_is_woken_again_and_can_be_cancelled_meanwhile(database: Database, runs: Runs) -> None:
    class Waiting(Counting):
        async def advance(self, hold: Hold) -> None:
            raise Wait("a person", 60)

    first = engine(database, Waiting())
    first.start()
    run = await runs.create(SYSTEM, "default", "", {})
    async for change in runs.watch("default", run.id):
        if change.state == WAITING:
            assert change.waiting_for == "a person"
            break
    await runs.cancel(SYSTEM, "default", run.id)
    assert (await finish(runs, run)).state == CANCELLED
    await first.drain()


async def test_the_audit_names_a_run_that_does_not_add_up(database: Database, runs: Runs) -> None:
    run = await runs.create(SYSTEM, "default", "", {})
    async with database.begin() as connection:
        broken = {"state": SUCCEEDED, "end_time": sa.func.now(), "result": {"inputs": 3, "outputs": {"kept": 2}}}
        await connection.execute(sa.update(tables.run).values(**broken))
    findings = await audit_runs(database, "default")
    assert [run.id] in [finding.offenders for finding in findings]


async def test_an_unforeseen_error_is_tried_again_and_then_fails_the_run_without_its_text(
    database: Database, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cultivar_service.engine.LONGEST_BACKOFF", 0.05)
    work = Counting()
    work.stumble = [ValueError("a secret text") for _ in range(9)]
    first = engine(database, work)
    first.start()
    failed = await finish(runs, await runs.create(SYSTEM, "default", "", {}))
    await first.drain()
    assert failed.state == FAILED
    assert failed.error is not None
    assert "secret" not in failed.error["message"]


async def test_a_run_that_fails_often_but_goes_on_in_between_is_not_given_up(
    database: Database, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cultivar_service.engine.LONGEST_BACKOFF", 0.05)

    class Stumbling(Counting):
        async def advance(self, hold: Hold) -> None:
            step = hold.cursor.get("next", 0)
            async with hold.commit(next=step + 1):
                self.done.append((hold.run.id, step))
            if step + 1 < STEPS:
                raise ValueError("stumbles after each step")

    work = Stumbling()
    first = engine(database, work)
    first.start()
    ended = await finish(runs, await runs.create(SYSTEM, "default", "", {}))
    await first.drain()
    assert ended.state == SUCCEEDED
    assert [step for _, step in work.done] == list(range(STEPS))


async def test_a_run_that_asks_somebody_who_is_away_waits_however_often_and_goes_on_when_he_is_back(
    database: Database, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cultivar_service.engine.LONGEST_BACKOFF", 0.05)
    work, told = Counting(), set()
    # In a group, as a call among many raises it; what else is in the group does not decide.
    group = ExceptionGroup("of calls", [ValueError("cut off"), ExceptionGroup("", [Away("nobody answers")])])
    work.stumble = [group for _ in range(3 * MOST_FAILURES)]
    first = engine(database, work)
    first.start()
    run = await runs.create(SYSTEM, "default", "", {})
    async for change in runs.watch("default", run.id):
        run = change
        if change.state == WAITING:
            told.add(change.waiting_for)
    await first.drain()
    assert (run.state, run.failures, run.cursor) == (SUCCEEDED, 0, {"next": STEPS})
    (said,) = told
    assert said.startswith("nobody answers (the run waits since 20")


async def test_a_run_that_got_nowhere_for_a_day_fails_and_says_since_when(
    database: Database, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cultivar_service.engine.LONGEST_BACKOFF", 0.05)
    monkeypatch.setattr("cultivar_service.engine.LONGEST_AWAY", timedelta(seconds=0.4))
    work = Counting()
    work.stumble = [Away("nobody answers") for _ in range(1000)]
    first = engine(database, work)
    first.start()
    failed = await finish(runs, await runs.create(SYSTEM, "default", "", {}))
    await first.drain()
    assert failed.state == FAILED and failed.error is not None
    assert failed.error["message"].startswith("nobody answers (the run has waited since 20")


async def test_a_lease_that_a_call_among_many_finds_stale_loses_the_run_and_fails_nothing(
    database: Database, runs: Runs
) -> None:
    work = Counting()
    work.stumble = [ExceptionGroup("of calls", [ValueError("cut off"), StaleLease("taken by another")])]
    first = engine(database, work)
    first.start()
    run = await finish(runs, await runs.create(SYSTEM, "default", "", {}))
    await first.drain()
    # Taken again once the lease has lapsed, which counts as a crash; nothing else was written.
    assert (run.state, run.attempt, run.progress.get("counts")) == (SUCCEEDED, 2, {})


async def test_progress_that_the_database_does_not_take_down_ends_no_work_and_a_commit_does(
    database: Database, runs: Runs
) -> None:
    run = await runs.create(SYSTEM, "default", "", {})
    gone = Database("postgresql://nobody@127.0.0.1:9/none", "example")
    hold = Hold(gone, run)
    await hold.report(now=True, stage="counting")
    with pytest.raises(Unavailable):
        async with hold.commit(next=1):
            pass
    await gone.close()


async def test_a_request_sent_again_makes_one_run_whatever_it_would_be_resolved_to_now(runs: Runs) -> None:
    sent, other = Struct(), Struct()
    sent["prompt"], other["prompt"] = "paraphrase", "continue"
    assert await runs.find("default", "once", sent) is None
    first = await runs.create(SYSTEM, "default", "once", {"prompt": "paraphrase@2"}, sent=sent)
    found = await runs.find("default", "once", sent)
    second = await runs.create(SYSTEM, "default", "once", {"prompt": "paraphrase@3"}, sent=sent)
    assert found is not None and found.id == second.id == first.id and second.spec == {"prompt": "paraphrase@2"}
    for refused in (runs.find("default", "once", other), runs.create(SYSTEM, "default", "once", {}, sent=other)):
        with pytest.raises(InvalidArgument, match="was used for another"):
            await refused


async def test_a_run_of_before_requests_were_kept_as_sent_is_known_by_what_it_was_resolved_to(runs: Runs) -> None:
    first = await runs.create(SYSTEM, "default", "once", {"prompt": "paraphrase@2"})
    assert await runs.find("default", "once", Struct()) is None
    again = await runs.create(SYSTEM, "default", "once", {"prompt": "paraphrase@2"}, sent=Struct())
    assert again.id == first.id
    with pytest.raises(InvalidArgument, match="was used for another"):
        await runs.create(SYSTEM, "default", "once", {"prompt": "paraphrase@3"}, sent=Struct())
