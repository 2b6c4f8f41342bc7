"""Campaigns that wait, pause, stop, or are refused, over the real services without training."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from cultivar.audit.v1 import audit_pb2
from cultivar.campaigns.v1 import campaigns_pb2 as pb
from cultivar.campaigns.v1 import campaigns_pb2_grpc
from cultivar.generation.v1 import generation_pb2, generation_pb2_grpc
from cultivar.review.v1 import review_pb2, review_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar_campaigns.__main__ import build as campaigns
from cultivar_datasets.__main__ import build as datasets
from cultivar_evaluation.__main__ import build as evaluation
from cultivar_filtering.__main__ import build as filtering
from cultivar_generation.__main__ import build as generation
from cultivar_models.fake import FakeTeacher
from cultivar_review.__main__ import build as review
from cultivar_training.__main__ import build as training

from tests.conftest import Start
from tests.integration.campaigns.loop import PARENT, config, create, finish, register, rows, stage, upload, upload_all

BUILDS = (campaigns, datasets, evaluation, filtering, generation, review)
UNTRAINED = {"evaluate": {"arms": ["base", "base_with_shots"]}}
BY_PERSON = {"review": {"by": "person", "sample": 4}, "evaluate": {"arms": ["base", "real_reviewed"]}}


async def open_loop(start: Start, teacher: FakeTeacher) -> tuple[Any, Any, dict[str, str]]:
    """Starts all services but training; returns channel, stub and the names of the files."""
    host = await start(*BUILDS, training, teachers_url=teacher.url)
    assert host.parts is not None
    channel = host.parts.channel
    await register(channel, teacher)
    return channel, campaigns_pb2_grpc.CampaignsServiceStub(channel), await upload_all(channel)


async def until(stub: Any, campaign: pb.Campaign, reached: Callable[[pb.Campaign], bool]) -> pb.Campaign:
    """Follows a campaign until something holds."""
    async with asyncio.timeout(30):
        async for change in stub.WatchCampaign(pb.WatchCampaignRequest(name=campaign.name)):
            if reached(change):
                return change
    raise AssertionError(f"it never came: {change}")


def waits(campaign: pb.Campaign) -> bool:
    """Tells whether a campaign waits at its review."""
    return campaign.run.state == run_pb2.RUN_STATE_WAITING and "left to review" in campaign.run.waiting_for


async def test_a_campaign_without_training_reports_its_arms(start: Start, teacher: FakeTeacher) -> None:
    channel, stub, files = await open_loop(start, teacher)
    campaign = await finish(channel, await create(channel, config(files, **UNTRAINED)))
    assert campaign.run.state == run_pb2.RUN_STATE_SUCCEEDED, campaign.run.error
    assert campaign.name == f"{PARENT}/campaigns/small-1"
    assert campaign.run.progress.done == campaign.run.progress.total == len(campaign.stages)
    report = await stub.GetReport(pb.GetReportRequest(name=campaign.name))
    assert report.html.startswith(b"<!doctype html>")
    assert report.verdict.sentence == campaign.verdict
    assert {arm.arm for arm in report.verdict.arms} == {"base", "base_with_shots"}
    assert report.verdict.rows == campaign.run.progress.counts["held_out"]
    assert report.verdict.times_scored == 2
    audit = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert [finding.check for finding in audit.findings if not finding.holds] == []


async def test_a_repeated_request_is_one_campaign_and_a_taken_name_is_refused(
    start: Start, teacher: FakeTeacher
) -> None:
    channel, stub, files = await open_loop(start, teacher)
    data = config(files, **UNTRAINED)
    one, two = await asyncio.gather(*(create(channel, data, campaign_id="mine", request_id="r") for _ in range(2)))
    assert one.name == two.name == f"{PARENT}/campaigns/mine"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await create(channel, data, campaign_id="mine")
    assert refused.value.code() == grpc.StatusCode.ALREADY_EXISTS
    listed = await stub.ListCampaigns(pb.ListCampaignsRequest(parent=PARENT))
    assert [campaign.name for campaign in listed.campaigns] == [one.name]


async def test_people_are_waited_for_and_a_decision_goes_on_with_what_is_reviewed(
    start: Start, teacher: FakeTeacher
) -> None:
    channel, stub, files = await open_loop(start, teacher)
    campaign = await until(stub, await create(channel, config(files, **BY_PERSON)), waits)
    (gate,) = campaign.gates
    reviews: Any = review_pb2_grpc.ReviewServiceStub(channel)
    leased = await reviews.LeaseTask(review_pb2.LeaseTaskRequest(name=gate.queue))
    said = review_pb2.Review(
        decision=review_pb2.DECISION_ACCEPT,
        scores={"accuracy": 5, "tone": 4},
        reviewer_kind=review_pb2.REVIEWER_KIND_PERSON,
    )
    await reviews.SubmitReview(
        review_pb2.SubmitReviewRequest(name=leased.task.name, lease_token=leased.task.lease.token, review=said)
    )
    decide = pb.ResolveGateRequest(name=campaign.name, decision=pb.GATE_DECISION_GO_ON, request_id="once")
    assert (await stub.ResolveGate(decide)) == (await stub.ResolveGate(decide))
    campaign = await until(stub, campaign, lambda now: stage(now, "review").HasField("end_time"))
    found = stage(campaign, "review")
    assert found.progress.counts["accepted"] == 1
    assert set(found.artifacts) == {"accepted", "declined", "unreviewed", "reviews"}
    assert campaign.gates[0].decision == pb.GATE_DECISION_GO_ON
    assert campaign.gates[0].principal == "local"


async def test_cancelling_ends_what_was_begun_in_other_services(start: Start, teacher: FakeTeacher) -> None:
    channel, stub, files = await open_loop(start, teacher)
    campaign = await until(stub, await create(channel, config(files, **BY_PERSON)), waits)
    await stub.CancelCampaign(pb.CancelCampaignRequest(name=campaign.name))
    campaign = await finish(channel, campaign)
    assert campaign.run.state == run_pb2.RUN_STATE_CANCELLED
    assert stage(campaign, "review").state == run_pb2.RUN_STATE_CANCELLED
    reviews: Any = review_pb2_grpc.ReviewServiceStub(channel)
    queue = await reviews.GetQueue(review_pb2.GetQueueRequest(name=campaign.gates[0].queue))
    assert queue.state == review_pb2.QUEUE_STATE_CLOSED
    audit = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert [finding.check for finding in audit.findings if not finding.holds] == []
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.PauseCampaign(pb.PauseCampaignRequest(name=campaign.name))
    assert "CANCELLED and cannot be paused" in (refused.value.details() or "")


async def begun_stages(stub: Any, campaign: pb.Campaign) -> int:
    """Counts the stages that have begun by now."""
    now = await stub.GetCampaign(pb.GetCampaignRequest(name=campaign.name))
    return sum(1 for each in now.stages if each.start_time.seconds)


async def test_a_paused_campaign_begins_nothing_until_it_is_resumed(start: Start, teacher: FakeTeacher) -> None:
    channel, stub, files = await open_loop(start, teacher)
    campaign = await create(channel, config(files, **UNTRAINED))
    campaign = await until(stub, campaign, lambda now: bool(stage(now, "import/held_out").child))
    await stub.PauseCampaign(pb.PauseCampaignRequest(name=campaign.name))
    begun = await begun_stages(stub, campaign)
    await asyncio.sleep(3)
    campaign = await stub.GetCampaign(pb.GetCampaignRequest(name=campaign.name))
    assert campaign.run.state == run_pb2.RUN_STATE_WAITING
    assert campaign.run.waiting_for == "resume"
    assert await begun_stages(stub, campaign) == begun < len(campaign.stages)
    await stub.ResumeCampaign(pb.ResumeCampaignRequest(name=campaign.name))
    assert (await finish(channel, campaign)).run.state == run_pb2.RUN_STATE_SUCCEEDED


WRONG_NAMES: list[tuple[dict[str, Any], str]] = [
    ({"goal": {"metric": "accuracy", "targett": 0.8, "margin": 0}}, "goal.targett: did you mean target?"),
    ({"generate": [{"strategy": "expnd", "count": 4}]}, "there is no strategy 'expnd': did you mean 'expand'?"),
    ({"generate": [{"strategy": "expand", "params": {"shotz": 2}, "count": 4}]}, "did you mean 'shots'?"),
    ({"generate": [{"strategy": "expand", "prompt": "contine", "count": 4}]}, "did you mean 'continue'?"),
    ({"teacher": "fakes"}, "there is no teacher 'fakes': did you mean 'fake'?"),
    ({"filter": {"recipe": "defalt"}}, "there is no recipe 'defalt'"),
    ({"filter": {"filters": [{"filter": "lenght"}]}}, "did you mean 'length'?"),
    ({"select": {"selector": "balancd"}}, "did you mean 'balanced'?"),
]


async def test_what_a_file_names_wrongly_is_refused_before_anything_is_made(start: Start, teacher: FakeTeacher) -> None:
    channel, stub, files = await open_loop(start, teacher)
    for changed, said in WRONG_NAMES:
        for check_alone in (True, False):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await create(channel, config(files, **changed), validate_only=check_alone)
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert said in (refused.value.details() or "")
    assert not (await stub.ListCampaigns(pb.ListCampaignsRequest(parent=PARENT))).campaigns


async def test_a_check_alone_makes_nothing_and_returns_every_default(start: Start, teacher: FakeTeacher) -> None:
    channel, stub, _ = await open_loop(start, teacher)
    paths = {"seeds": "seeds.jsonl", "held_out": "held_out.jsonl"}
    checked = await create(channel, config(paths, review={"by": "nobody"}), validate_only=True)
    assert not checked.name
    assert checked.config["review"]["by"] == "nobody"
    assert checked.config["train"]["seeds"] == [1, 2]
    assert not (await stub.ListCampaigns(pb.ListCampaignsRequest(parent=PARENT))).campaigns


async def test_a_held_out_file_that_equals_the_seeds_is_refused(start: Start, teacher: FakeTeacher) -> None:
    channel, _, files = await open_loop(start, teacher)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await create(channel, config({**files, "held_out": files["seeds"]}, **UNTRAINED))
    assert "data.held_out is the same file as data.seeds" in (refused.value.details() or "")


async def test_seeds_that_repeat_the_held_out_rows_fail_with_a_sentence_that_names_the_stage(
    start: Start, teacher: FakeTeacher
) -> None:
    channel, _, files = await open_loop(start, teacher)
    same_but_for_a_byte = await upload(channel, rows("held_out") + b"\n")
    campaign = await finish(
        channel, await create(channel, config({**files, "seeds": same_but_for_a_byte}, **UNTRAINED))
    )
    assert campaign.run.state == run_pb2.RUN_STATE_FAILED
    assert campaign.run.error.message.startswith("import/seeds: ")
    assert stage(campaign, "import/seeds").state == run_pb2.RUN_STATE_FAILED
    assert stage(campaign, "evaluate/base").state == run_pb2.RUN_STATE_PENDING


async def test_a_spent_budget_stops_the_campaign(start: Start, teacher: FakeTeacher) -> None:
    channel, _, files = await open_loop(start, teacher)
    campaign = await finish(channel, await create(channel, config(files, budget={"tokens": 10}, **BY_PERSON)))
    assert campaign.run.state == run_pb2.RUN_STATE_FAILED
    assert "of 10 tokens are spent: raise budget.tokens" in campaign.run.error.message
    child = stage(campaign, "generate").child
    runs: Any = generation_pb2_grpc.GenerationServiceStub(channel)
    async with asyncio.timeout(10):
        async for run in runs.WatchGenerationRun(generation_pb2.WatchGenerationRunRequest(name=child)):
            ended = run
    assert ended.spec.budget.tokens == 10 and ended.run.end_time.seconds
    assert 0 < ended.run.usage.calls <= 64 and "tokens are spent of 10" in ended.stopped


async def test_a_campaign_counts_what_its_teacher_costs_and_stops_at_its_money(
    start: Start, teacher: FakeTeacher
) -> None:
    channel, _, files = await open_loop(start, teacher)
    runs: Any = generation_pb2_grpc.GenerationServiceStub(channel)
    priced = generation_pb2.Teacher(url=teacher.url, model="fake-teacher", prompt_price=2.0, completion_price=5.0)
    await runs.RegisterTeacher(
        generation_pb2.RegisterTeacherRequest(parent=PARENT, teacher_id="fake", teacher=priced, skip_probe=True)
    )
    campaign = await finish(channel, await create(channel, config(files, budget={"cost": 0.01}, **BY_PERSON)))
    assert campaign.run.state == run_pb2.RUN_STATE_FAILED
    assert "of 0.01 is spent: raise budget.cost" in campaign.run.error.message
    assert campaign.run.usage.cost >= 0.01


async def test_another_projects_campaign_is_not_found(start: Start, teacher: FakeTeacher) -> None:
    channel, stub, files = await open_loop(start, teacher)
    campaign = await create(channel, config(files, **UNTRAINED))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.GetCampaign(pb.GetCampaignRequest(name=campaign.name.replace("default", "other")))
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as early:
        await stub.GetReport(pb.GetReportRequest(name=campaign.name))
    assert "has no report" in (early.value.details() or "")
