"""A run that ended early goes on where it was: what it committed stays, and no call is paid for twice."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from cultivar.audit.v1 import audit_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import load_manifest
from cultivar_generation.store import SHIPPED
from cultivar_models.fake import FakeSettings, FakeTeacher
from cultivar_service.database import Database
from cultivar_service.holds import Hold
from cultivar_service.struct_codec import encode_struct
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.conftest import Start
from tests.faults.test_faulty_teachers import MANY, ZEBRA, rows_of, with_one_zebra
from tests.integration.generation.test_generation_runs import PARENT, candidates, finish, open_generation, spec

CALLS = 700
KEY = "CULTIVAR_TEST_TEACHER_KEY"


@pytest.fixture(autouse=True)
def slow_enough(teacher: FakeTeacher) -> None:
    """Lets a run last until it is cancelled."""
    teacher.settings = FakeSettings(latency_s=0.02)


async def begin(
    stub: Any, seeds_name: str, count: int = CALLS, params: dict[str, Any] | None = None, **fields: Any
) -> pb.GenerationRun:
    """Makes a run of 700 calls."""
    asked = spec(seeds_name, pb.StrategyUse(strategy="rewrite", count=count, params=encode_struct(params or {})))
    asked.MergeFrom(pb.GenerationSpec(**fields))
    return await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=asked))


async def cut_short(stub: Any, teacher: FakeTeacher, run: pb.GenerationRun, calls: int) -> pb.GenerationRun:
    """Cancels a run after so many calls."""
    while teacher.stats.calls < calls:
        await asyncio.sleep(0.01)
    await stub.CancelGenerationRun(pb.CancelGenerationRunRequest(name=run.name))
    return await finish(stub, run)


async def retry(stub: Any, run: pb.GenerationRun, **fields: Any) -> pb.GenerationRun:
    """Retries a run and follows it to its end."""
    return await finish(stub, await stub.RetryGenerationRun(pb.RetryGenerationRunRequest(name=run.name, **fields)))


async def test_a_run_cancelled_twice_makes_each_call_once_in_the_end(start: Start, teacher: FakeTeacher) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    run = await cut_short(stub, teacher, await begin(stub, seeds_name), 100)
    first = {example.id for example in await candidates(host, run)}
    again = await stub.RetryGenerationRun(pb.RetryGenerationRunRequest(name=run.name))
    assert (again.name, again.run.state, again.candidates) == (run.name, run_pb2.RUN_STATE_PENDING, "")
    run = await cut_short(stub, teacher, run, 400)
    second = {example.id for example in await candidates(host, run)}
    run = await retry(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    made = [example.id for example in await candidates(host, run)]
    assert first < second < set(made) and len(made) == len(set(made)) == CALLS
    assert run.run.progress.counts["answered"] == run.run.progress.total == CALLS
    # A call in flight at a cancellation was sent, and its answer never came.
    repeated = sum(count - 1 for count in teacher.stats.answers_per_body.values())
    assert repeated <= 2 * 8 and run.run.attempt == 3
    report = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert all(finding.holds for finding in report.findings), report


async def test_a_run_whose_prompt_is_another_text_by_now_says_so_and_asks_nothing(
    start: Start, teacher: FakeTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    run = await cut_short(stub, teacher, await begin(stub, seeds_name), 50)
    changed = dataclasses.replace(SHIPPED["paraphrase"][2], template="Say it otherwise: {{ text }}")
    monkeypatch.setitem(SHIPPED["paraphrase"], 2, changed)
    before = teacher.stats.calls
    run = await retry(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_FAILED and teacher.stats.calls == before
    assert "paraphrase@2 has another text" in run.run.error.message and "create a run anew" in run.run.error.message


async def test_a_run_that_failed_gives_what_it_had_and_goes_on_once_the_cause_is_gone(
    start: Start, teacher: FakeTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    monkeypatch.setenv(KEY, "a key")
    keyed = pb.Teacher(url=teacher.url, model="fake-teacher", concurrency=8, credential=f"env:{KEY}")
    await stub.RegisterTeacher(
        pb.RegisterTeacherRequest(parent=PARENT, teacher_id="fake", teacher=keyed, skip_probe=True)
    )
    run = await cut_short(stub, teacher, await begin(stub, seeds_name), 100)
    kept = run.run.progress.counts["candidates"]
    monkeypatch.delenv(KEY)
    run = await retry(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_FAILED and KEY in run.run.error.message
    assert len(await candidates(host, run)) == kept
    monkeypatch.setenv(KEY, "a key")
    run = await retry(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED and not run.run.HasField("error")
    assert len(await candidates(host, run)) == CALLS


async def test_a_run_whose_budget_was_spent_goes_on_with_a_larger_one_alone(start: Start, teacher: FakeTeacher) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    run = await finish(stub, await begin(stub, seeds_name, budget=pb.Budget(tokens=3000)))
    made = {example.id for example in await candidates(host, run)}
    spent = run.run.usage.prompt_tokens + run.run.usage.completion_tokens
    for budget in ({}, {"budget": pb.Budget(tokens=3000)}):
        with pytest.raises(grpc.aio.AioRpcError, match=f"has spent {spent} tokens") as refused:
            await retry(stub, run, **budget)
        assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    run = await retry(stub, run, budget=pb.Budget(tokens=10 * spent))
    assert (run.stopped == "") == (run.run.progress.counts["answered"] == CALLS)
    assert made < {example.id for example in await candidates(host, run)}
    assert max(Counter(teacher.stats.answers_per_body).values()) == 1
    run = await retry(stub, run, budget=pb.Budget()) if run.stopped else run
    assert len(await candidates(host, run)) == CALLS
    with pytest.raises(grpc.aio.AioRpcError, match="made all its calls"):
        await retry(stub, run)


async def test_a_repeated_request_retries_once(start: Start, teacher: FakeTeacher) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    run = await cut_short(stub, teacher, await begin(stub, seeds_name), 50)
    request = pb.RetryGenerationRunRequest(name=run.name, request_id="again")
    await stub.RetryGenerationRun(request)
    run = await cut_short(stub, teacher, run, 60)
    await stub.RetryGenerationRun(request)
    run = await stub.GetGenerationRun(pb.GetGenerationRunRequest(name=run.name))
    assert run.run.state == run_pb2.RUN_STATE_CANCELLED and run.run.attempt == 2


async def test_what_a_run_left_is_gone_after_seven_days(start: Start, teacher: FakeTeacher) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    old = await cut_short(stub, teacher, await begin(stub, seeds_name), 50)
    run_id = old.name.rpartition("/")[2]
    database = Database(host.settings.database_url, "generation", connections=1)
    async with database.begin() as connection:
        await connection.execute(
            sa.text("UPDATE run SET end_time = end_time - interval '8 days' WHERE id = :id"), {"id": run_id}
        )
    with pytest.raises(grpc.aio.AioRpcError, match="over 7 days ago") as refused:
        await retry(stub, old)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    parts = sa.text("SELECT count(*) FROM artifacts.part WHERE run = :id")
    async with database.begin() as connection:
        assert await connection.scalar(parts, {"id": run_id})
    await cut_short(stub, teacher, await begin(stub, seeds_name), teacher.stats.calls + 50)
    async with database.begin() as connection:
        assert not await connection.scalar(parts, {"id": run_id})
    assert len(await candidates(host, old)) == old.run.progress.counts["candidates"]
    await database.close()


async def test_a_retry_makes_the_calls_again_that_failed_and_no_other(start: Start, teacher: FakeTeacher) -> None:
    host, stub, _ = await open_generation(start, teacher)
    seeds_name = await with_one_zebra(host)
    teacher.settings = FakeSettings(failing_word=ZEBRA, failing_word_as="empty")
    run = await finish(stub, await begin(stub, seeds_name, MANY))
    for _ in range(2):
        counts = run.run.progress.counts
        assert (run.run.state, counts["failed"], counts["answered"]) == (run_pb2.RUN_STATE_SUCCEEDED, 1, MANY - 1)
        teacher.settings = teacher.settings if run.run.attempt == 1 else FakeSettings()
        run = await retry(stub, run)
    counts = run.run.progress.counts
    assert (counts["failed"], counts["answered"], counts["candidates"]) == (0, MANY, MANY), run.run
    rows, made = await rows_of(host, run), await candidates(host, run)
    assert {row["state"] for row in rows} == {"answered"} and len({row["id"] for row in rows}) == len(rows) == MANY
    assert len({example.id for example in made}) == len(made) == MANY and teacher.stats.answered_twice == 0
    labels = [(part.asked, part.made) for part in run.coverage if part.dimension == "label"]
    assert labels == [(MANY // 2, MANY // 2)] * 2
    prompt = await stub.GetPromptReport(pb.GetPromptReportRequest(name=f"{PARENT}/prompts/paraphrase"))
    (told,) = prompt.yields
    assert told.counts["answered"] == MANY and not told.counts["failed"] and not told.reasons
    report = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert all(finding.holds for finding in report.findings), report
    with pytest.raises(grpc.aio.AioRpcError, match="made all its calls"):
        await retry(stub, run)


async def test_a_run_goes_on_with_its_teacher_as_it_was_and_where_it_is_served_now(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    run = await cut_short(stub, teacher, await begin(stub, seeds_name), 400)
    before = sum(teacher.stats.answers_per_body.values())
    async with FakeTeacher() as moved:
        changed = pb.Teacher(url=moved.url, model="fake-teacher", concurrency=8, temperature=0.1, licence="another")
        await stub.RegisterTeacher(
            pb.RegisterTeacherRequest(parent=PARENT, teacher_id="fake", teacher=changed, skip_probe=True)
        )
        run = await retry(stub, run)
        after = sum(moved.stats.answers_per_body.values())
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert teacher.stats.calls <= before + 8 and CALLS <= before + after <= CALLS + 8
    made = await candidates(host, run)
    assert len(made) == CALLS and {example.provenance.licences for example in made} == {("research only",)}
    assert host.parts is not None
    manifest = await load_manifest(host.parts.store, "default", run.calls.split("/")[-1])
    frozen: Any = manifest.config["frozen"]
    assert (frozen["fake"]["temperature"], frozen["fake"]["licence"]) == (pytest.approx(0.8), "research only")


async def test_a_call_that_was_cancelled_during_its_check_is_not_paid_for_again(
    start: Start, teacher: FakeTeacher
) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    teacher.settings = FakeSettings(failing_word="Put it back", failing_word_as="hang")
    check = {"check": {"least": 0.01, "template": "Put it back: {{ draft }}"}}
    run = await begin(stub, seeds_name, 6, check)
    while teacher.stats.calls < 12:
        await asyncio.sleep(0.01)
    run = await cut_short(stub, teacher, run, 12)
    assert run.run.progress.counts["answered"] == 0 and sum(teacher.stats.answers_per_body.values()) == 6
    teacher.settings = FakeSettings()
    run = await retry(stub, run)
    assert (run.run.progress.counts["answered"], teacher.stats.answered_twice) == (6, 0)
    assert run.run.usage.cached_calls == 6


async def test_a_run_that_is_cancelled_while_a_commit_ends_keeps_what_it_has_and_counts_it_once(
    start: Start, teacher: FakeTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    commit, cut = Hold.commit, list[Hold]()

    @asynccontextmanager
    async def slow(hold: Hold, **given: Any) -> AsyncIterator[AsyncConnection]:
        async with commit(hold, **given) as connection:
            yield connection
        # The database has committed, and the process does not know it yet.
        if "rounds" in given and not cut:
            cut.append(hold)
            await stub.CancelGenerationRun(pb.CancelGenerationRunRequest(name=run.name))
            while not hold.cancelling:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.1)

    monkeypatch.setattr(Hold, "commit", slow)
    run = await begin(stub, seeds_name)
    run = await finish(stub, run)
    assert cut and run.run.state == run_pb2.RUN_STATE_CANCELLED and run.run.attempt == 1
    answered = run.run.progress.counts["answered"]
    assert 256 < answered == len(await candidates(host, run)) and answered >= teacher.stats.calls - 8
    labels = [part for part in run.coverage if part.dimension == "label"]
    assert sum(part.asked for part in labels) == sum(part.made for part in labels) == answered
