"""Wiring of the campaigns service: `python -m cultivar_campaigns` runs it alone."""

from pathlib import Path

from cultivar.campaigns.v1 import campaigns_pb2_grpc
from cultivar_service.engine import Engine
from cultivar_service.parts import Parts, Service
from cultivar_service.runs import Runs
from cultivar_service.serving import main
from cultivar_service.settings import Settings

from cultivar_campaigns.own_stages import OwnStages
from cultivar_campaigns.peers import Peers
from cultivar_campaigns.reviewing import Review
from cultivar_campaigns.runner import CampaignWork
from cultivar_campaigns.service import CampaignsServicer
from cultivar_campaigns.stages import stage_kinds

KIND = "campaign"
MIGRATIONS = Path(__file__).parent / "migrations"


async def build(parts: Parts) -> Service:
    """Builds the service from its parts."""
    settings = parts.settings
    database, peers = await parts.database("campaigns", MIGRATIONS), Peers(parts.channel)
    kinds = stage_kinds(peers, Review(peers, parts.store, parts.models))
    work = CampaignWork(database, parts.store, kinds, OwnStages(parts.store, peers), parts.console_url)
    engine = Engine(database, {KIND: work}, slots=settings.run_slots, lease_seconds=settings.lease_seconds)
    servicer = CampaignsServicer(database, parts.store, Runs(database, KIND, "campaignRuns"), engine, peers)
    return Service(
        name="campaigns",
        packages=["cultivar.campaigns.v1.CampaignsService"],
        add=lambda server: campaigns_pb2_grpc.add_CampaignsServiceServicer_to_server(servicer, server),
        engine=engine,
        database=database,
    )


if __name__ == "__main__":
    main(Settings, build)
