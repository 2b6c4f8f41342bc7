"""One campaign through the whole loop: every service is real, the teacher and the training program are not."""

from collections import Counter
from typing import Any

import grpc
import pytest
from cultivar.audit.v1 import audit_pb2
from cultivar.campaigns.v1 import campaigns_pb2 as pb
from cultivar.campaigns.v1 import campaigns_pb2_grpc
from cultivar.datasets.v1 import datasets_pb2, datasets_pb2_grpc
from cultivar.evaluation.v1 import evaluation_pb2_grpc
from cultivar.filtering.v1 import filtering_pb2_grpc
from cultivar.generation.v1 import generation_pb2, generation_pb2_grpc
from cultivar.review.v1 import review_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar.training.v1 import training_pb2_grpc
from cultivar_models.fake import FakeTeacher
from cultivar_training.__main__ import build as training

from tests.conftest import Start
from tests.integration.campaigns.loop import PARENT, config, create, finish, register, stage, upload_all
from tests.integration.campaigns.test_gates_and_ends import BUILDS

STUBS = (
    campaigns_pb2_grpc.CampaignsServiceStub,
    datasets_pb2_grpc.DatasetsServiceStub,
    evaluation_pb2_grpc.EvaluationServiceStub,
    filtering_pb2_grpc.FilteringServiceStub,
    generation_pb2_grpc.GenerationServiceStub,
    review_pb2_grpc.ReviewServiceStub,
    training_pb2_grpc.TrainingServiceStub,
)


@pytest.fixture(autouse=True)
def fake_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets training train nothing."""
    monkeypatch.setenv("CULTIVAR_TRAINING_LAUNCHER", "fake")


ARMS = ("base", "base_with_shots", "real", "real_stand_in", "real_synthetic", "real_reviewed")


async def audited(channel: grpc.aio.Channel) -> list[str]:
    """Returns what does not hold, of every service."""
    broken = []
    for stub in STUBS:
        made: Any = stub(channel)
        report = await made.Audit(audit_pb2.AuditRequest(parent=PARENT))
        assert report.findings
        broken += [f"{report.service}: {finding.check}" for finding in report.findings if not finding.holds]
    return broken


async def test_the_whole_loop_ends_in_a_report_whose_figures_are_those_of_the_services(
    start: Start, teacher: FakeTeacher
) -> None:
    host = await start(*BUILDS, training, teachers_url=teacher.url)
    assert host.parts is not None
    channel = host.parts.channel
    await register(channel, teacher)
    # The fake teacher has no licence.
    data = config(await upload_all(channel), select={"licences": ["unstated"]})
    campaign = await finish(channel, await create(channel, data))
    assert campaign.run.state == run_pb2.RUN_STATE_SUCCEEDED, campaign.run.error
    counts = campaign.run.progress.counts
    assert counts["kept"] + counts["rejected"] == counts["candidates"]
    assert counts["accepted"] + counts["declined"] == counts["reviewed"] == counts["kept"]
    assert counts["selected"] == stage(campaign, "dataset/real_reviewed").progress.counts["selected"] - counts["seeds"]
    stub: Any = campaigns_pb2_grpc.CampaignsServiceStub(channel)
    report = await stub.GetReport(pb.GetReportRequest(name=campaign.name))
    assert tuple(arm.arm for arm in report.verdict.arms) == ARMS
    assert [len(arm.by_seed) for arm in report.verdict.arms] == [1, 1, 2, 2, 2, 2]
    assert report.verdict.times_scored == 10
    assert {(gain.arm, gain.over) for gain in report.verdict.gains} >= {
        ("real_reviewed", "real"),
        ("real_synthetic", "real"),
    }
    page = report.html.decode()
    assert "Nothing was trained" in page and "Nothing was trained" in report.verdict.sentence
    assert "nearest-neighbour stand-in" in page and "No person reviewed" in page
    assert all(f"{arm.value:.3f}" in page for arm in report.verdict.arms)
    children = [each.child for each in campaign.stages if each.child]
    assert len(children) == len(set(children))
    assert await audited(channel) == []
    await every_parent_exists(channel, campaign)
    await generation_knows_what_became_of_its_candidates(channel, campaign)
    await the_teachers_licence_is_told(channel, campaign)


async def generation_knows_what_became_of_its_candidates(channel: grpc.aio.Channel, campaign: pb.Campaign) -> None:
    """Asserts that the reports of the prompts tell what the campaign's filters and its reviewer said, once."""
    stub: Any = generation_pb2_grpc.GenerationServiceStub(channel)
    said = Counter[str]()
    for prompt in ("continue", "paraphrase"):
        name = f"{PARENT}/prompts/{prompt}"
        report = await stub.GetPromptReport(generation_pb2.GetPromptReportRequest(name=name))
        sources = {stage(campaign, "filter").child, stage(campaign, "review").child}
        assert {one.source for one in report.outcomes} == sources
        for one in report.outcomes:
            said.update(one.counts)
    counts = campaign.run.progress.counts
    told = {name: counts[name] for name in ("kept", "rejected", "reviewed", "accepted", "declined")}
    assert {name: said[name] for name in told} == told
    assert (said["judged"], said["by_program"]) == (counts["candidates"], counts["reviewed"])


async def the_teachers_licence_is_told(channel: grpc.aio.Channel, campaign: pb.Campaign) -> None:
    """Asserts that a dataset of the campaign keeps to the licences of its file, and tells what it holds."""
    stub: Any = datasets_pb2_grpc.DatasetsServiceStub(channel)
    name = stage(campaign, "dataset/real_reviewed").child
    version = await stub.GetDatasetVersion(datasets_pb2.GetDatasetVersionRequest(name=name))
    assert list(version.spec.licences) == ["unstated"]
    assert version.run.progress.counts["unlicensed"] == 0
    assert dict(version.by_licence) == {"unstated": version.by_role["synthetic"]}


async def every_parent_exists(channel: grpc.aio.Channel, campaign: pb.Campaign) -> None:
    """Asks for the report's artifact and for all that it was made from."""
    stub: Any = datasets_pb2_grpc.DatasetsServiceStub(channel)
    report = await stub.GetArtifact(datasets_pb2.GetArtifactRequest(name=campaign.report))
    assert len(report.parents) > 20
    for parent in report.parents:
        await stub.GetArtifact(datasets_pb2.GetArtifactRequest(name=parent))


async def test_a_campaign_whose_filters_keep_nothing_goes_on_with_the_seeds_alone(
    start: Start, teacher: FakeTeacher
) -> None:
    host = await start(*BUILDS, training, teachers_url=teacher.url)
    assert host.parts is not None
    channel = host.parts.channel
    await register(channel, teacher)
    strict = {"filters": [{"filter": "length", "params": {"min_words": 900, "max_words": 1000}}]}
    arms = {"arms": ["real", "real_reviewed"]}
    data = config(await upload_all(channel), filter=strict, evaluate=arms, train={"seeds": [1]})
    campaign = await finish(channel, await create(channel, data))
    assert campaign.run.state == run_pb2.RUN_STATE_SUCCEEDED, campaign.run.error
    assert campaign.run.progress.counts["kept"] == 0
    assert campaign.run.progress.counts["selected"] == 0
    assert await audited(channel) == []
