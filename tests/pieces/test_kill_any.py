"""A campaign over services that are processes of their own: kill -9 of any of them at any time, and it ends whole."""

import asyncio
import random
import time
from collections import Counter
from typing import Any

import psycopg
import pytest
from cultivar.campaigns.v1 import campaigns_pb2 as pb
from cultivar.campaigns.v1 import campaigns_pb2_grpc
from cultivar.cli.audit import SERVICES
from cultivar.run.v1 import run_pb2

from tests.integration.campaigns.loop import config, create, no_example_twice, register, stage, upload_all
from tests.pieces.conftest import LONG, SEEDS, Cluster
from tests.pieces.pieces import PERSON, Replica
from tests.whole import holds

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(480)]
SMALL: dict[str, Any] = {
    "generate": [{"strategy": "expand", "count": 12}, {"strategy": "rewrite", "count": 6}],
    "train": {"seeds": [1], "epochs": 1},
    "evaluate": {"arms": ["base", "real", "real_reviewed"]},
}
# Several in one campaign, so that all of them are killed within the minutes of CI; LONG=1 kills each alone.
TOGETHER = (("campaigns", "datasets"), ("evaluation", "filtering", "identity"), ("generation", "review", "training"))
KILLED = [(service,) for service in SERVICES] if LONG else list(TOGETHER)
CAMPAIGN_SECONDS = 180.0
AWAY_SECONDS = 2.0
took: list[float] = []


async def finish(channel: Any, campaign: pb.Campaign) -> pb.Campaign:
    """Looks at a campaign until it has ended."""
    stub: Any = campaigns_pb2_grpc.CampaignsServiceStub(channel)
    async with asyncio.timeout(CAMPAIGN_SECONDS):
        while not campaign.run.HasField("end_time"):
            await asyncio.sleep(0.2)
            campaign = await stub.GetCampaign(pb.GetCampaignRequest(name=campaign.name))
    return campaign


async def ends_whole(cluster: Cluster, campaign: pb.Campaign) -> None:
    """Asserts that a campaign succeeded, made nothing twice, and that the books of all services are in order."""
    assert campaign.run.state == run_pb2.RUN_STATE_SUCCEEDED, campaign.run.error
    children = [each.child for each in campaign.stages if each.child]
    assert Counter(children).most_common(1)[0][1] == 1
    await no_example_twice(cluster.store, campaign)
    await asyncio.to_thread(holds, cluster.pieces.client())


async def makers(cluster: Cluster, schema: str, action: str) -> list[str]:
    """Returns the principals whom the audit rows of a service name for an action."""
    asked = f"SELECT DISTINCT principal FROM {schema}.change WHERE action = %s"
    async with await psycopg.AsyncConnection.connect(cluster.database_url) as connection:
        made = await connection.execute(asked.encode(), (action,))
        return [principal for (principal,) in await made.fetchall()]


async def test_a_person_starts_a_campaign_and_services_with_two_replicas_each_run_it_as_themselves(
    cluster: Cluster,
) -> None:
    channel = cluster.pieces.channel()
    await register(channel, cluster.teacher)
    began = time.monotonic()
    campaign = await finish(channel, await create(channel, config(await upload_all(channel), **SMALL)))
    took.append(time.monotonic() - began)
    await ends_whole(cluster, campaign)
    assert stage(campaign, "train/real/1").progress.measures["fake"] == 1.0
    assert await makers(cluster, "campaigns", "create campaign") == [PERSON]
    runs = {"generation": "generation", "filtering": "filter", "training": "training", "evaluation": "evaluation"}
    for schema, kind in runs.items():
        assert await makers(cluster, schema, f"create {kind}") == ["cultivar-campaigns"]
    await channel.close()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("services", KILLED, ids="+".join)
async def test_a_campaign_ends_whole_when_a_process_is_killed_at_any_time(
    cluster: Cluster, services: tuple[str, ...], seed: int
) -> None:
    chance = random.Random(f"{services} {seed}")
    channel = cluster.pieces.channel()
    await register(channel, cluster.teacher)
    campaign = await create(channel, config(await upload_all(channel), **SMALL))
    finishing = asyncio.create_task(finish(channel, campaign))
    victims = [chance.choice(cluster.pieces.of(service)) for service in services]
    moments = [(chance.uniform(0, took[0] if took else 10.0), chance.uniform(0, AWAY_SECONDS)) for _ in victims]
    await asyncio.gather(*(struck(victim, *when) for victim, when in zip(victims, moments, strict=True)))
    ended = await finishing
    assert ended.run.state == run_pb2.RUN_STATE_SUCCEEDED, ended.run.error
    await ends_whole(cluster, ended)
    for victim in victims:
        await victim.until_ready(cluster.pieces.ca)
    await channel.close()


async def struck(victim: Replica, after: float, away: float) -> None:
    """Kills a process some seconds from now, and starts it again some seconds later."""
    await asyncio.sleep(after)
    await victim.kill()
    await asyncio.sleep(away)
    await victim.start()
