"""What another service's failure means for a campaign: waited for, tried again once, or its own sentence passed on."""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

from cultivar.campaigns.v1 import campaigns_pb2 as pb
from cultivar.campaigns.v1 import campaigns_pb2_grpc
from cultivar.generation.v1 import generation_pb2, generation_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar_campaigns import store
from cultivar_campaigns.__main__ import KIND, MIGRATIONS
from cultivar_campaigns.checking import check_config
from cultivar_campaigns.own_stages import OwnStages
from cultivar_campaigns.peers import Child, Peers
from cultivar_campaigns.plan import Step
from cultivar_campaigns.round import Round
from cultivar_campaigns.runner import CampaignWork
from cultivar_campaigns.stages import Generate
from cultivar_campaigns.store import Campaign, Stage
from cultivar_generation.__main__ import build as generation
from cultivar_models.fake import FakeSettings, FakeTeacher
from cultivar_service.database import Database
from cultivar_service.engine import Engine
from cultivar_service.parts import Parts, Service
from cultivar_service.principal import SYSTEM
from cultivar_service.runs import Run, Runs
from cultivar_training.__main__ import build as training
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.conftest import Start
from tests.integration.campaigns.loop import PARENT, config, create, finish, register, stage, upload_all
from tests.integration.campaigns.scripted import crash, scripted
from tests.integration.campaigns.test_gates_and_ends import BUILDS, until
from tests.seeds import commit_examples, seeds


class Told:
    """A kind of stage whose children end as they are told, one after the other."""

    def __init__(self, *ends: Child) -> None:
        self.ends = list(ends)
        self.request_ids: list[str] = []

    async def begin(self, round_: Round, stage: Stage, request_id: str) -> Child:
        self.request_ids.append(request_id)
        return Child(f"projects/default/generationRuns/{len(self.request_ids)}", "PENDING")

    async def look(self, round_: Round, stage: Stage) -> Child:
        return self.ends[int(stage.child.rpartition("/")[2]) - 1]

    async def cancel(self, stage: Stage) -> None:
        return None


def ended(number: int, state: str, **fields: Any) -> Child:
    """A child that ended."""
    return Child(f"projects/default/generationRuns/{number}", state, **fields)


async def run_told(start: Start, kind: Told) -> Campaign:
    """Runs a campaign of one stage, of the given kind, until it failed or the stage succeeded."""
    made: list[Database] = []

    async def build(parts: Parts) -> Service:
        database = await parts.database("campaigns", MIGRATIONS)
        made.append(database)
        own = OwnStages(parts.store, Peers(parts.channel))
        work = CampaignWork(database, parts.store, {"generate": kind}, own, parts.console_url)
        return Service(
            name="campaigns", engine=Engine(database, {KIND: work}, slots=1, lease_seconds=2), database=database
        )

    await start(build)
    data = config(
        {"seeds": "projects/default/files/a", "held_out": "projects/default/files/b"}, review={"by": "nobody"}
    )
    checked = check_config(data)
    steps: Sequence[Step] = [Step("generate")]

    async def also(connection: AsyncConnection, run: Run) -> None:
        await store.add_campaign(connection, SYSTEM, run, "told", checked.name, steps)

    runs = Runs(made[0], KIND, "campaignRuns")
    await runs.create(SYSTEM, "default", "", {"campaign": "told", "config": checked.model_dump(mode="json")}, also)
    async with asyncio.timeout(20):
        while True:
            async with made[0].begin() as connection:
                campaign = await store.get_campaign(connection, "default", "told")
            if campaign.run.final or campaign.stages[0].state == "SUCCEEDED":
                return campaign
            await asyncio.sleep(0.1)


async def test_a_failure_that_may_pass_is_tried_again_once_under_a_new_request_id(start: Start) -> None:
    kind = Told(ended(1, "FAILED", error="the store was away", error_may_pass=True), ended(2, "SUCCEEDED"))
    campaign = await run_told(start, kind)
    assert kind.request_ids == ["told/1/generate/1", "told/1/generate/2"]
    assert campaign.stages[0].state == "SUCCEEDED"
    assert campaign.stages[0].attempt == 2
    assert campaign.stages[0].error == ""


async def test_a_second_failure_fails_the_campaign_with_the_childs_sentence_and_name(start: Start) -> None:
    away = {"error": "the store was away", "error_may_pass": True}
    kind = Told(ended(1, "FAILED", **away), ended(2, "FAILED", **away))
    campaign = await run_told(start, kind)
    assert campaign.run.state == "FAILED"
    assert campaign.run.error is not None
    said = campaign.run.error["message"]
    assert said == "generate: the store was away (projects/default/generationRuns/2)"


async def test_a_lasting_failure_is_not_tried_again(start: Start) -> None:
    kind = Told(ended(1, "FAILED", error="the seeds are empty"))
    campaign = await run_told(start, kind)
    assert kind.request_ids == ["told/1/generate/1"]
    assert campaign.run.state == "FAILED"


async def test_a_child_that_somebody_cancelled_ends_the_campaign_and_says_so(start: Start) -> None:
    campaign = await run_told(start, Told(ended(1, "CANCELLED")))
    assert campaign.run.error is not None
    assert "it was cancelled (projects/default/generationRuns/1)" in campaign.run.error["message"]


async def test_what_a_child_waits_for_shows_through(start: Start, teacher: FakeTeacher) -> None:
    host = await start(*BUILDS, training, teachers_url=teacher.url)
    assert host.parts is not None
    channel = host.parts.channel
    await register(channel, teacher)
    generation: Any = generation_pb2_grpc.GenerationServiceStub(channel)
    gone = generation_pb2.Teacher(url="http://127.0.0.1:9/v1", model="none")
    await generation.RegisterTeacher(
        generation_pb2.RegisterTeacherRequest(parent=PARENT, teacher_id="fake", teacher=gone, skip_probe=True)
    )
    stub: Any = campaigns_pb2_grpc.CampaignsServiceStub(channel)
    made = await create(channel, config(await upload_all(channel), evaluate={"arms": ["base", "real_synthetic"]}))

    def waits(campaign: pb.Campaign) -> bool:
        return campaign.run.state == run_pb2.RUN_STATE_WAITING and campaign.run.waiting_for.startswith("generate: ")

    campaign = await until(stub, made, waits)
    assert stage(campaign, "generate").state == run_pb2.RUN_STATE_WAITING
    assert "127.0.0.1" in campaign.run.waiting_for


async def test_training_that_fails_fails_the_campaign_with_its_sentence(start: Start, teacher: FakeTeacher) -> None:
    host = await start(*BUILDS, scripted(crash), teachers_url=teacher.url)
    assert host.parts is not None
    channel = host.parts.channel
    await register(channel, teacher)
    data = config(await upload_all(channel), evaluate={"arms": ["base", "real"]})
    campaign = await finish(channel, await create(channel, data))
    assert campaign.run.state == run_pb2.RUN_STATE_FAILED
    failed = stage(campaign, "train/real/1")
    assert campaign.run.error.message == f"train/real/1: {failed.error} ({failed.child})"


async def test_a_generation_that_is_tried_again_goes_on_with_what_it_made(start: Start, teacher: FakeTeacher) -> None:
    teacher.settings = FakeSettings(latency_s=0.05)
    host = await start(generation)
    assert host.parts is not None
    await register(host.parts.channel, teacher)
    seeds_name = await commit_examples(host.settings.database_url, host.parts.store, seeds())
    use = {"strategy": "rewrite", "count": 200}
    data = config({"seeds": seeds_name, "held_out": seeds_name}, generate=[use], review={"by": "nobody"})
    labels = {"by_label": {seed.label: 1 for seed in seeds()}}
    imported = stage_of("import/seeds", artifacts={"seeds": seeds_name}, state="SUCCEEDED", result=labels)
    round_ = Round("default", "told", 1, check_config(data), {"import/seeds": imported})
    kind = Generate(Peers(host.parts.channel))
    first = await kind.begin(round_, stage_of("generate", attempt=1), round_.request_id(stage_of("generate"), 1))
    while not teacher.stats.calls:
        await asyncio.sleep(0.02)
    cut = stage_of("generate", attempt=1, child=first.name)
    await kind.cancel(cut)
    while (await kind.look(round_, cut)).state != "CANCELLED":
        await asyncio.sleep(0.05)
    again = stage_of("generate", attempt=2)
    second = await kind.begin(round_, again, round_.request_id(again, 2))
    assert second.name == first.name
    while (now := await kind.look(round_, cut)).state not in ("SUCCEEDED", "FAILED"):
        await asyncio.sleep(0.05)
    assert now.state == "SUCCEEDED" and now.progress["counts"]["answered"] == 200


def stage_of(key: str, **fields: Any) -> Stage:
    """A stage that has just been planned, but for some fields."""
    name, _, source = key.partition("/")
    empty: dict[str, Any] = {field.name: "" for field in dataclasses.fields(Stage)}
    empty |= {name: {} for name in ("progress", "usage", "artifacts", "result")}
    empty |= {"round": 1, "place": 0, "training_seed": 0, "attempt": 0, "start_time": None, "end_time": None}
    return Stage(**{**empty, "key": key, "stage": name, "source": source, "state": "PENDING", **fields})
