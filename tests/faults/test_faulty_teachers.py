"""A run against a teacher that refuses, fails, hangs and lies: every call ends, and none is paid twice."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from cultivar.audit.v1 import audit_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import load_manifest, read_shards
from cultivar_models.fake import FakeSettings, FakeTeacher
from cultivar_service.engine import MOST_FAILURES
from cultivar_service.serving import Host
from cultivar_service.struct_codec import encode_struct

from tests.conftest import Start
from tests.integration.generation.test_generation_runs import PARENT, candidates, finish, open_generation, spec
from tests.seeds import commit_examples, seeds

ASKED = 600
FAULTS = FakeSettings(
    latency_s=0.01,
    too_many_rate=0.05,
    retry_after_s=0.2,
    error_rate=0.02,
    hang_rate=0.01,
    broken_rate=0.01,
    empty_rate=0.01,
    lie_rate=0.03,
)


MANY = 300
ZEBRA = "the zebra ate my parcel"
KEY = "CULTIVAR_TEST_TEACHER_KEY"


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a run that waits ask again soon."""
    monkeypatch.setattr("cultivar_service.engine.LONGEST_BACKOFF", 0.3)
    monkeypatch.setattr("cultivar_generation.runner.READY_SECONDS", 0.3)


async def rows_of(host: Host, run: pb.GenerationRun) -> list[dict[str, Any]]:
    """Reads what became of each call."""
    assert host.parts is not None
    manifest = await load_manifest(host.parts.store, "default", run.calls.split("/")[-1])
    return [row async for table in read_shards(host.parts.store, manifest) for row in table.to_pylist()]


async def with_one_zebra(host: Host) -> str:
    """Commits as many seeds as there are calls, of which one alone is about a zebra; returns their name."""
    assert host.parts is not None
    many = seeds(MANY // 6)
    message = many[MANY // 2].messages[0].model_copy(update={"content": ZEBRA})
    messages = (message, *many[MANY // 2].messages[1:])
    many[MANY // 2] = many[MANY // 2].model_copy(update={"messages": messages})
    return await commit_examples(host.settings.database_url, host.parts.store, many)


async def register(stub: Any, teacher: FakeTeacher, teacher_id: str = "fake", **fields: Any) -> None:
    """Registers a teacher that is soon given up."""
    given = pb.Teacher(
        **{"url": teacher.url, "model": "fake-teacher", "concurrency": 8, "timeout_seconds": 0.5, **fields}
    )
    await stub.RegisterTeacher(
        pb.RegisterTeacherRequest(parent=PARENT, teacher_id=teacher_id, teacher=given, skip_probe=True)
    )


async def begin(stub: Any, seeds_name: str, count: int = MANY, **params: Any) -> pb.GenerationRun:
    """Makes a run of rewritings."""
    use = pb.StrategyUse(strategy="rewrite", count=count, params=encode_struct(params))
    return await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec(seeds_name, use)))


async def until(stub: Any, run: pb.GenerationRun, holds: Callable[[pb.GenerationRun], bool]) -> pb.GenerationRun:
    """Waits until something holds of a run that has not ended."""
    async with asyncio.timeout(30):
        while not holds(run):
            assert not run.run.end_time.seconds, run.run
            await asyncio.sleep(0.02)
            run = await stub.GetGenerationRun(pb.GetGenerationRunRequest(name=run.name))
    return run


def waits(run: pb.GenerationRun) -> bool:
    """Tells whether a run waits."""
    return run.run.state == run_pb2.RUN_STATE_WAITING


@pytest.mark.parametrize("fault", ["error", "hang"])
async def test_a_call_that_never_gets_an_answer_fails_with_its_cause_and_all_others_are_made(
    start: Start, teacher: FakeTeacher, fault: str
) -> None:
    host, stub, _ = await open_generation(start, teacher)
    teacher.settings = FakeSettings(failing_word=ZEBRA, failing_word_as=fault)
    await register(stub, teacher)
    run = await finish(stub, await begin(stub, await with_one_zebra(host)))
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    counts = run.run.progress.counts
    assert (counts["failed"], counts["answered"], run.run.attempt) == (1, MANY - 1, 1)
    rows = await rows_of(host, run)
    (cause,) = [row["cause"] for row in rows if row["state"] == "failed"]
    assert len(rows) == MANY and "gave no answer" in cause
    report = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert all(finding.holds for finding in report.findings)


async def test_where_no_check_gets_an_answer_what_it_was_to_check_is_malformed(
    start: Start, teacher: FakeTeacher
) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    teacher.settings = FakeSettings(failing_word="Put it back")
    await register(stub, teacher)
    run = await begin(stub, seeds_name, 12, check={"least": 0.1, "template": "Put it back: {{ draft }}"})
    run = await finish(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    counts = run.run.progress.counts
    assert (counts["answered"], counts["malformed"], counts["candidates"], run.run.attempt) == (12, 12, 0, 1)


@pytest.mark.usefixtures("soon")
async def test_a_run_whose_teacher_is_away_at_its_start_waits_and_goes_on_once_it_is_there(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    async with FakeTeacher() as away:
        port = int(away.url.rpartition(":")[2].partition("/")[0])
    await register(stub, away)
    run = await until(stub, await begin(stub, seeds_name, 20), lambda run: run.run.attempt > MOST_FAILURES + 1)
    run = await until(stub, run, waits)
    assert (
        run.run.waiting_for.startswith(f"teacher fake: {away.url} is not ready") and "since 20" in run.run.waiting_for
    )
    async with FakeTeacher(port=port):
        run = await finish(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert len(await candidates(host, run)) == 20


@pytest.mark.usefixtures("soon")
async def test_a_run_that_waits_for_its_teacher_is_cancelled_at_once(start: Start, teacher: FakeTeacher) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    async with FakeTeacher() as away:
        pass
    await register(stub, away)
    run = await until(stub, await begin(stub, seeds_name, 20), waits)
    began = time.monotonic()
    await stub.CancelGenerationRun(pb.CancelGenerationRunRequest(name=run.name))
    run = await finish(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_CANCELLED and time.monotonic() - began < 5


@pytest.mark.usefixtures("soon")
async def test_a_key_that_is_changed_in_the_middle_lets_the_run_wait_for_the_right_one(
    start: Start, teacher: FakeTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    monkeypatch.setenv(KEY, "old")
    teacher.settings = FakeSettings(latency_s=0.02, api_key="old")
    await register(stub, teacher, credential=f"env:{KEY}", timeout_seconds=5)
    run = await begin(stub, seeds_name, 700)
    while teacher.stats.calls < 100:
        await asyncio.sleep(0.005)
    teacher.settings = FakeSettings(latency_s=0.02, api_key="new")
    run = await until(stub, run, lambda run: waits(run) and run.run.attempt > MOST_FAILURES)
    assert "with 401" in run.run.waiting_for and "api_key" in run.run.waiting_for
    assert run.run.progress.counts["failed"] == 0
    monkeypatch.setenv(KEY, "new")
    run = await finish(stub, run)
    counts = run.run.progress.counts
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert (counts["answered"], counts["failed"]) == (700, 0) and len(await candidates(host, run)) == 700
    # An answer that was on its way when the first call was refused was read by nobody.
    assert teacher.stats.answered_twice <= 8


@pytest.mark.usefixtures("soon")
async def test_an_outage_of_all_teachers_fails_no_call_however_small_the_share_of_one(
    start: Start, teacher: FakeTeacher
) -> None:
    async with FakeTeacher() as rare:
        _, stub, seeds_name = await open_generation(start, teacher)
        await register(stub, teacher)
        await register(stub, rare, "rare")
        asked = spec(seeds_name, pb.StrategyUse(strategy="rewrite", count=MANY))
        asked.teacher = ""
        asked.teachers.add(teacher=f"{PARENT}/teachers/fake", weight=99)
        asked.teachers.add(teacher=f"{PARENT}/teachers/rare", weight=1)
        teacher.settings = rare.settings = FakeSettings(latency_s=0.02)
        run = await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=asked))
        while teacher.stats.calls < 50:
            await asyncio.sleep(0.005)
        teacher.settings = rare.settings = FakeSettings(error_rate=1)
        run = await until(stub, run, waits)
        teacher.settings = rare.settings = FakeSettings()
        run = await finish(stub, run)
    counts = run.run.progress.counts
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert (counts["answered"], counts["failed"]) == (MANY, 0)


async def test_a_run_against_a_teacher_that_refuses_fails_hangs_and_lies_loses_nothing_and_pays_nothing_twice(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    teacher.settings = FAULTS
    given = pb.Teacher(url=teacher.url, model="fake-teacher", concurrency=32, timeout_seconds=2)
    await stub.RegisterTeacher(
        pb.RegisterTeacherRequest(parent=PARENT, teacher_id="fake", teacher=given, skip_probe=True)
    )
    # Two examples a call, so that a lie, which holds one half item, can be told from them.
    use = pb.StrategyUse(strategy="expand", count=2 * ASKED)
    use.params.update({"per_call": 2})
    run = await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec(seeds_name, use)))
    run = await finish(stub, run)
    counts, outcomes = run.run.progress.counts, teacher.stats.outcomes
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert min(outcomes[fault] for fault in ("too_many", "error", "cancelled", "broken", "empty", "lie")) > 0
    assert counts["answered"] == ASKED and counts["failed"] == 0
    # A hanging call was given up at its time limit, which the teacher sees as cancelled, and was made again.
    assert outcomes["answered"] + outcomes["lie"] == ASKED and teacher.stats.answered_twice == 0
    assert run.run.usage.calls >= teacher.stats.calls
    rows = await rows_of(host, run)
    assert len({row["id"] for row in rows}) == len(rows) == ASKED
    lies = [row for row in rows if "half an it" in row["raw"]]
    assert len(lies) == outcomes["lie"] and all(row["malformed"] for row in lies)
    made = Counter(example.provenance.call for example in await candidates(host, run))
    assert made.total() == counts["candidates"] and all(made[row["id"]] == row["candidates"] for row in rows)
    report = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert all(finding.holds for finding in report.findings)
