"""A run that ends before all its calls are made keeps what it has made, and says why it stopped."""

import asyncio
from typing import Any

import grpc
import pytest
from cultivar.audit.v1 import audit_pb2
from cultivar.filtering.v1 import filtering_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.run.v1 import run_pb2
from cultivar_filtering.__main__ import build as build_filtering
from cultivar_models.fake import FakeSettings, FakeTeacher
from cultivar_service.struct_codec import encode_struct

from tests.conftest import Start
from tests.integration.generation.test_generation_runs import PARENT, candidates, finish, open_generation, spec

CONCURRENCY = 8
ASKED = 2000


async def make(stub: Any, seeds_name: str, **budget: float) -> pb.GenerationRun:
    """Makes a run of many calls with a budget."""
    asked = spec(seeds_name, pb.StrategyUse(strategy="rewrite", count=ASKED))
    asked.budget.CopyFrom(pb.Budget(**budget))
    return await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=asked))


async def priced(stub: Any, teacher: FakeTeacher) -> None:
    """Gives the teacher a price: 2 for 1,000 tokens in, 5 for 1,000 out."""
    given = pb.Teacher(url=teacher.url, model="fake-teacher", concurrency=CONCURRENCY)
    given.prompt_price, given.completion_price = 2.0, 5.0
    await stub.RegisterTeacher(
        pb.RegisterTeacherRequest(parent=PARENT, teacher_id="fake", teacher=given, skip_probe=True)
    )


async def test_a_run_stops_at_its_tokens_and_keeps_every_answer_that_was_paid_for(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    run = await finish(stub, await make(stub, seeds_name, tokens=3000))
    spent = run.run.usage.prompt_tokens + run.run.usage.completion_tokens
    calls = run.run.usage.calls
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED
    assert 3000 <= spent < 3000 + CONCURRENCY * 2 * spent / calls
    assert run.run.progress.counts["answered"] == calls == teacher.stats.calls < ASKED
    assert len(await candidates(host, run)) == run.run.progress.counts["candidates"] == calls
    assert f"{spent} tokens are spent of 3000" in run.stopped
    report = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert all(finding.holds for finding in report.findings)


async def test_a_run_stops_at_its_cost_by_the_prices_of_its_teacher(start: Start, teacher: FakeTeacher) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    await priced(stub, teacher)
    run = await finish(stub, await make(stub, seeds_name, cost=4.0))
    usage = run.run.usage
    assert usage.cost == pytest.approx((usage.prompt_tokens * 2 + usage.completion_tokens * 5) / 1000)
    assert 4.0 <= usage.cost < 4.0 + CONCURRENCY * 2 * usage.cost / usage.calls
    assert "is spent of 4" in run.stopped


async def test_a_run_that_made_all_its_calls_says_nothing_of_its_budget(start: Start, teacher: FakeTeacher) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    asked = spec(seeds_name, pb.StrategyUse(strategy="rewrite", count=5))
    asked.budget.tokens = 1_000_000
    run = await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=asked))
    run = await finish(stub, run)
    assert (run.stopped, run.run.progress.counts["answered"], run.spec.budget.tokens) == ("", 5, 1_000_000)


async def test_a_run_whose_last_call_spent_its_budget_was_not_stopped(start: Start, teacher: FakeTeacher) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    asked = spec(seeds_name, pb.StrategyUse(strategy="rewrite", count=5, refill=True))
    request = pb.CreateGenerationRunRequest(parent=PARENT, spec=asked)
    usage = (await finish(stub, await stub.CreateGenerationRun(request))).run.usage
    request.spec.budget.tokens = usage.prompt_tokens + usage.completion_tokens
    run = await finish(stub, await stub.CreateGenerationRun(request))
    assert (run.stopped, run.run.progress.counts["answered"]) == ("", 5)
    request.spec.budget.tokens -= 1
    run = await finish(stub, await stub.CreateGenerationRun(request))
    assert (run.stopped, run.run.progress.counts["answered"]) == ("", 5)
    with pytest.raises(grpc.aio.AioRpcError, match="made all its calls"):
        await stub.RetryGenerationRun(pb.RetryGenerationRunRequest(name=run.name, budget=pb.Budget()))


async def test_a_candidate_whose_check_the_budget_cut_off_is_checked_by_a_retry(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    check = {"check": {"least": 0.01, "template": "Put it back: {{ draft }}"}}
    asked = spec(seeds_name, pb.StrategyUse(strategy="rewrite", count=200, params=encode_struct(check)))
    asked.budget.tokens = 4000
    run = await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=asked))
    run = await finish(stub, run)
    assert run.stopped and 0 < run.run.progress.counts["answered"] < teacher.stats.calls / 2
    report = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert all(finding.holds for finding in report.findings), report
    run = await stub.RetryGenerationRun(pb.RetryGenerationRunRequest(name=run.name, budget=pb.Budget()))
    run = await finish(stub, run)
    counts = run.run.progress.counts
    assert (run.stopped, counts["answered"], counts["candidates"] + counts["malformed"]) == ("", 200, 200)
    assert teacher.stats.answered_twice == 0 and teacher.stats.calls == 400
    assert len(await candidates(host, run)) == counts["candidates"] > 100


async def test_no_filter_is_asked_what_counts_once_the_budget_is_spent(start: Start, teacher: FakeTeacher) -> None:
    _, stub, seeds_name = await open_generation(start, teacher, build_filtering)
    asked = spec(seeds_name, pb.StrategyUse(strategy="rewrite", count=60, refill=True))
    asked.filter.CopyFrom(filtering_pb2.FilterSpec(filters=[filtering_pb2.FilterUse(filter="repetition")]))
    asked.budget.tokens = 500
    run = await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=asked))
    run = await finish(stub, run)
    assert run.stopped and not run.filter_runs
    run = await stub.RetryGenerationRun(pb.RetryGenerationRunRequest(name=run.name, budget=pb.Budget()))
    run = await finish(stub, run)
    assert (run.stopped, run.run.progress.counts["kept"], len(run.filter_runs)) == ("", 60, 1)


async def test_less_than_nothing_is_no_budget(start: Start, teacher: FakeTeacher) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    for budget in ({"tokens": -1}, {"cost": -0.5}, {"cost": float("nan")}, {"cost": float("inf")}):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await make(stub, seeds_name, **budget)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT, budget


async def test_a_cancelled_run_keeps_the_answers_of_a_range_that_was_not_full(
    start: Start, teacher: FakeTeacher
) -> None:
    teacher.settings = FakeSettings(latency_s=0.2)
    host, stub, seeds_name = await open_generation(start, teacher)
    run = await make(stub, seeds_name)
    while teacher.stats.calls < 4 * CONCURRENCY:
        await asyncio.sleep(0.05)
    await stub.CancelGenerationRun(pb.CancelGenerationRunRequest(name=run.name))
    run = await asyncio.wait_for(finish(stub, run), 5)
    kept = run.run.progress.counts["candidates"]
    assert run.run.state == run_pb2.RUN_STATE_CANCELLED
    assert teacher.stats.calls - CONCURRENCY <= kept <= teacher.stats.calls < 256
    assert len(await candidates(host, run)) == kept == run.run.progress.counts["answered"]


async def test_a_teachers_prices_and_ways_are_kept_as_they_were_given(start: Start, teacher: FakeTeacher) -> None:
    _, stub, _ = await open_generation(start, teacher)
    given = pb.Teacher(
        url="https://teacher.example/v1",
        model="large",
        prompt_price=0.5,
        completion_price=1.5,
        timeout_seconds=30,
        proxy="http://proxy.example:3128",
        ca_file="/etc/ssl/own.pem",
        licence="Its answers may train models of our own.",
        temperature=0.0,
    )
    asked = pb.RegisterTeacherRequest(parent=PARENT, teacher_id="large", teacher=given, skip_probe=True)
    kept = await stub.RegisterTeacher(asked)
    for field in ("prompt_price", "completion_price", "timeout_seconds", "proxy", "ca_file", "licence", "temperature"):
        assert getattr(kept, field) == getattr(given, field)
    for field, value in (("proxy", "http://user:secret@proxy"), ("ca_file", "own.pem"), ("prompt_price", -1.0)):
        wrong = pb.RegisterTeacherRequest(parent=PARENT, teacher_id="large", teacher=given, skip_probe=True)
        setattr(wrong.teacher, field, value)
        with pytest.raises(grpc.aio.AioRpcError, match=field) as refused:
            await stub.RegisterTeacher(wrong)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
