"""Self-Instruct's own way: instructions are written, those that are new are answered, the answers are filtered."""

from typing import Any

import grpc
import pytest
from cultivar.campaigns.v1 import campaigns_pb2 as pb
from cultivar.campaigns.v1 import campaigns_pb2_grpc
from cultivar.datasets.v1 import datasets_pb2, datasets_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar_models.fake import FakeTeacher
from cultivar_training.__main__ import build as training

from tests.conftest import Start
from tests.integration.campaigns.loop import (
    create,
    examples,
    finish,
    instructions,
    no_example_twice,
    register,
    stage,
    tasks,
    upload,
)
from tests.integration.campaigns.test_gates_and_ends import BUILDS
from tests.integration.campaigns.test_whole_loop import audited


async def test_what_is_new_is_answered_once_and_every_count_is_of_the_step_before(
    start: Start, teacher: FakeTeacher
) -> None:
    host = await start(*BUILDS, training, teachers_url=teacher.url)
    assert host.parts is not None
    channel, store = host.parts.channel, host.parts.store
    await register(channel, teacher)
    config = instructions({"tasks": await upload(channel, tasks())})
    config["generate"][0]["refill"] = True
    campaign = await finish(channel, await create(channel, config))
    assert campaign.run.state == run_pb2.RUN_STATE_SUCCEEDED, campaign.run.error
    counts = campaign.run.progress.counts
    # What the refilling was told to count is what the filter stage keeps.
    assert stage(campaign, "generate").progress.counts["kept"] == counts["kept"]
    assert counts["candidates"] == counts["kept"] + counts["rejected"]
    assert counts["kept"] == counts["answered"] + counts["malformed_answers"] + counts["failed_answers"]
    assert counts["answered"] == counts["kept_answers"] + counts["rejected_answers"]
    assert 0 < counts["selected"] <= counts["kept_answers"]
    assert stage(campaign, "dataset/real_synthetic").progress.counts["selected"] == counts["selected"] + counts["seeds"]
    await no_example_twice(store, campaign)
    await each_answer_comes_from_a_kept_instruction_and_its_seed(store, channel, campaign)
    assert await audited(channel) == []
    reported: Any = campaigns_pb2_grpc.CampaignsServiceStub(channel)
    report = await reported.GetReport(pb.GetReportRequest(name=campaign.name))
    assert "Nothing was trained or measured" in report.verdict.sentence
    assert f"{counts['selected']:,} generated examples" in report.verdict.sentence


async def each_answer_comes_from_a_kept_instruction_and_its_seed(store: Any, channel: Any, campaign: Any) -> None:
    """Asserts that lineage leads from an answer to its instruction, and on to the seed of the family."""
    kept = {one.id: one for one in await examples(store, campaign, "filter", "kept")}
    answered = await examples(store, campaign, "filter/answers", "kept")
    assert all(not one.answer for one in kept.values())
    for one in answered:
        asked = kept[one.provenance.seeds[0]]
        assert one.text == asked.text and one.answer
        assert one.provenance.family == asked.provenance.family
    stub: Any = datasets_pb2_grpc.DatasetsServiceStub(channel)
    request = datasets_pb2.TraceExampleRequest(parent="projects/default", example_id=answered[0].id)
    assert (await stub.TraceExample(request)).seed.provenance.line > 0


async def test_arms_of_a_task_without_labels_are_compared_by_perplexity(
    start: Start, teacher: FakeTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CULTIVAR_TRAINING_LAUNCHER", "fake")
    host = await start(*BUILDS, training, teachers_url=teacher.url)
    assert host.parts is not None
    channel = host.parts.channel
    await register(channel, teacher)
    files = {"seeds": await upload(channel, tasks()), "held_out": await upload(channel, tasks("Paint", "Name"))}
    goal = {"metric": "perplexity", "target": 9.0, "margin": 0.1}
    data = instructions({"tasks": ""}, data=files, goal=goal, train={"seeds": [1, 2], "epochs": 1})
    campaign = await finish(channel, await create(channel, data))
    assert campaign.run.state == run_pb2.RUN_STATE_SUCCEEDED, campaign.run.error
    reported: Any = campaigns_pb2_grpc.CampaignsServiceStub(channel)
    verdict = (await reported.GetReport(pb.GetReportRequest(name=campaign.name))).verdict
    assert [arm.arm for arm in verdict.arms] == ["base", "base_with_shots", "real", "real_synthetic"]
    assert all(1 <= arm.low <= arm.value <= arm.high for arm in verdict.arms)
    base, shots = verdict.arms[:2]
    assert verdict.best_arm == min(verdict.arms, key=lambda arm: arm.value).arm
    assert shots.value != base.value
    assert all(gain.low <= gain.gain <= gain.high for gain in verdict.gains)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"answer": {"prompt": "no-such"}}, "no-such"),
        ({"answer": {"params": {"shots": 3}}}, "shots"),
        ({"answer": {"filter": {"recipe": "no-such"}}}, "no-such"),
    ],
)
async def test_what_the_answering_names_is_checked_before_anything_is_made(
    start: Start, teacher: FakeTeacher, changed: dict[str, Any], said: str
) -> None:
    host = await start(*BUILDS, training, teachers_url=teacher.url)
    assert host.parts is not None
    await register(host.parts.channel, teacher)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await create(host.parts.channel, instructions({"tasks": "projects/default/files/none"}, **changed))
    details = refused.value.details() or ""
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("answer.") and said in details
