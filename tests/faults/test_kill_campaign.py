"""kill -9 of everything in each stage of a campaign: it ends all the same, and makes no example and no run twice."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cultivar.campaigns.v1 import campaigns_pb2 as pb
from cultivar.campaigns.v1 import campaigns_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import open_store
from cultivar_models.fake import FakeSettings, FakeTeacher
from cultivar_service.answers import GROUP
from cultivar_service.peers import open_channel

from tests.integration.campaigns.loop import (
    config,
    create,
    finish,
    instructions,
    no_example_twice,
    register,
    tasks,
    upload,
    upload_all,
)
from tests.processes import Server
from tests.whole import ends_whole

STAGES = ("import", "generate", "filter", "review", "dataset", "train", "evaluate")
ANSWERING = "answer"
"""The stage that only a campaign of instructions has."""
IN_FLIGHT = 8


@pytest.mark.timeout(240)
@pytest.mark.parametrize("killed_in", [*STAGES, ANSWERING])
async def test_a_campaign_killed_in_any_stage_ends_whole(
    database_url: str, tmp_path: Path, teacher: FakeTeacher, monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    monkeypatch.setenv("CULTIVAR_TRAINING_LAUNCHER", "fake")
    teacher.settings = FakeSettings(latency_s=0.05)
    store = tmp_path / "artifacts"
    store.mkdir()
    flags = ("--database-url", database_url, "--artifacts", str(store), "--teachers-url", teacher.url)
    server = Server(tmp_path / "data", *flags)
    channel = await open_server(server)
    await register(channel, teacher)
    campaign = await create(channel, await file_for(channel, killed_in))
    await until_begun(channel, campaign, killed_in)
    await server.kill()
    channel = await open_server(server)
    campaign = await finish(channel, campaign)
    assert campaign.run.state == run_pb2.RUN_STATE_SUCCEEDED, campaign.run.error
    children = [each.child for each in campaign.stages if each.child]
    assert Counter(children).most_common(1)[0][1] == 1
    assert all(each.attempt == 1 for each in campaign.stages if each.child)
    await no_example_twice(open_store(str(store)), campaign)
    repeated = sum(count - 1 for count in teacher.stats.answers_per_body.values())
    assert repeated <= IN_FLIGHT + GROUP
    await ends_whole(server)


async def file_for(channel: Any, killed_in: str) -> dict[str, Any]:
    """Returns a campaign file that has a stage, with its files uploaded."""
    if killed_in == ANSWERING:
        return instructions({"tasks": await upload(channel, tasks())})
    return config(await upload_all(channel))


async def open_server(server: Server) -> Any:
    """Starts a server and opens a channel to it."""
    connection = await server.start()
    return open_channel(connection.address, connection.token)


async def until_begun(channel: Any, campaign: pb.Campaign, kind: str) -> None:
    """Waits until a stage of a kind goes on."""
    stub: Any = campaigns_pb2_grpc.CampaignsServiceStub(channel)
    async with asyncio.timeout(120):
        while True:
            now = await stub.GetCampaign(pb.GetCampaignRequest(name=campaign.name))
            if any(each.stage == kind and each.HasField("start_time") for each in now.stages):
                return
            assert not now.run.HasField("end_time"), now.run.error
            await asyncio.sleep(0.05)
