"""The campaigns servicer."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from cultivar.audit.v1 import audit_pb2
from cultivar.campaigns.v1 import campaigns_pb2 as pb
from cultivar.campaigns.v1 import campaigns_pb2_grpc as pb_grpc
from cultivar_artifacts import ArtifactStore
from cultivar_service.artifacts import artifact_name, open_artifact
from cultivar_service.audit import audit_runs, record_change
from cultivar_service.audit_codec import encode_report
from cultivar_service.database import Database
from cultivar_service.engine import Engine
from cultivar_service.errors import InvalidArgument
from cultivar_service.idempotency import once
from cultivar_service.names import check_id, project_of, split_name
from cultivar_service.paging import page_size
from cultivar_service.principal import current_principal
from cultivar_service.runs import SUCCEEDED, Run, Runs
from cultivar_service.struct_codec import decode_struct
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_campaigns import codec, store
from cultivar_campaigns.checking import check_config
from cultivar_campaigns.checks import audit_stages
from cultivar_campaigns.errors import CampaignEnded, NotReported
from cultivar_campaigns.naming import check_files, check_names, check_training
from cultivar_campaigns.own_stages import DATA, PAGE, read_facts
from cultivar_campaigns.peers import Peers
from cultivar_campaigns.plan import plan_round

Context = grpc.aio.ServicerContext[Any, Any]
LONGEST_ID = 48


class CampaignsServicer(pb_grpc.CampaignsServiceServicer):
    """Decodes a request, calls, and encodes the answer."""

    def __init__(self, database: Database, artifacts: ArtifactStore, runs: Runs, engine: Engine, peers: Peers) -> None:
        self._database = database
        self._artifacts = artifacts
        self._runs = runs
        self._engine = engine
        self._peers = peers

    async def CreateCampaign(self, request: pb.CreateCampaignRequest, context: Context) -> pb.Campaign:
        """Creates a campaign."""
        project, campaign_id = project_of(request.parent, "parent"), request.campaign_id
        if campaign_id and len(check_id(campaign_id, "campaign_id")) > LONGEST_ID:
            raise InvalidArgument(f"campaign_id must have {LONGEST_ID} characters at most", field="campaign_id")
        config = check_config(decode_struct(request.config))
        await check_names(self._peers, request.parent, config)
        await check_training(self._peers, request.parent, config)
        if request.validate_only:
            return codec.encode_checked(config)
        await check_files(self._peers, request.parent, config)
        principal = current_principal.get()

        async def also(connection: AsyncConnection, run: Run) -> None:
            await store.add_campaign(connection, principal, run, campaign_id, config.name, plan_round(config))

        spec = {"campaign": campaign_id, "config": config.model_dump(mode="json")}
        run = await self._runs.create(principal, project, request.request_id, spec, also)
        self._engine.nudge()
        async with self._database.begin() as connection:
            return codec.encode_campaign(
                await store.get_campaign(connection, project, await store.campaign_id_of(connection, run.id))
            )

    async def GetCampaign(self, request: pb.GetCampaignRequest, context: Context) -> pb.Campaign:
        """Returns a campaign."""
        return codec.encode_campaign(await self._get(request.name))

    async def _get(self, name: str) -> store.Campaign:
        async with self._database.begin() as connection:
            return await store.get_campaign(connection, *split_name(name, store.COLLECTION))

    async def ListCampaigns(self, request: pb.ListCampaignsRequest, context: Context) -> pb.ListCampaignsResponse:
        """Lists the campaigns of a project."""
        project, size = project_of(request.parent, "parent"), page_size(request.page_size)
        async with self._database.begin() as connection:
            page = await store.list_campaigns(connection, project, size, request.page_token)
        campaigns = [codec.encode_campaign(campaign) for campaign in page.items]
        return pb.ListCampaignsResponse(campaigns=campaigns, next_page_token=page.next_page_token)

    async def WatchCampaign(self, request: pb.WatchCampaignRequest, context: Context) -> AsyncIterator[pb.Campaign]:
        """Streams a campaign until it ends."""
        first = await self._get(request.name)
        async for _ in self._runs.watch(first.run.project, first.run.id):
            yield codec.encode_campaign(await self._get(request.name))

    async def PauseCampaign(self, request: pb.PauseCampaignRequest, context: Context) -> pb.Campaign:
        """Pauses a campaign."""
        run = await self._open(request.name, "paused")
        await self._runs.pause(current_principal.get(), run.project, run.id)
        return codec.encode_campaign(await self._get(request.name))

    async def ResumeCampaign(self, request: pb.ResumeCampaignRequest, context: Context) -> pb.Campaign:
        """Resumes a campaign."""
        run = await self._open(request.name, "resumed")
        await self._runs.resume(current_principal.get(), run.project, run.id)
        self._engine.nudge()
        return codec.encode_campaign(await self._get(request.name))

    async def _open(self, name: str, wanted: str) -> Run:
        run = (await self._get(name)).run
        if run.final:
            raise CampaignEnded(f"{name} is {run.state} and cannot be {wanted}")
        return run

    async def CancelCampaign(self, request: pb.CancelCampaignRequest, context: Context) -> pb.Campaign:
        """Cancels a campaign."""
        run = (await self._get(request.name)).run
        await self._runs.cancel(current_principal.get(), run.project, run.id)
        self._engine.nudge()
        return codec.encode_campaign(await self._get(request.name))

    async def ResolveGate(self, request: pb.ResolveGateRequest, context: Context) -> pb.Campaign:
        """Decides a gate."""
        decision = codec.decode_decision(request.decision)
        project, campaign_id = split_name(request.name, store.COLLECTION)
        principal = current_principal.get()

        async def effect(connection: AsyncConnection) -> pb.Campaign:
            campaign = await store.get_campaign(connection, project, campaign_id)
            gate = store.pick_gate(campaign, request.gate)
            await store.decide_gate(connection, campaign.run.id, gate.gate, decision, principal.name)
            await record_change(connection, principal, project, f"decide gate {gate.gate} {decision}", campaign.name)
            return codec.encode_campaign(await store.get_campaign(connection, project, campaign_id))

        answer = await once(self._database, request, pb.Campaign, effect)
        run = (await self._get(request.name)).run
        if decision == "STOP":
            await self._runs.cancel(principal, project, run.id)
        self._engine.nudge()
        return answer

    async def GetReport(self, request: pb.GetReportRequest, context: Context) -> pb.Report:
        """Returns the report of a campaign."""
        campaign = await self._get(request.name)
        run = campaign.run
        if run.state != SUCCEEDED:
            raise NotReported(f"{campaign.name} is {run.state} and has no report: it is written at the end")
        name = artifact_name(run.project, run.result["report"])
        manifest = await open_artifact(self._artifacts, run.project, name, "report")
        digests = {file.name: file.sha256 for file in manifest.files}
        page = await self._artifacts.read(run.project, digests[PAGE])
        facts = read_facts(await self._artifacts.read(run.project, digests[DATA]))
        return pb.Report(campaign=campaign.name, artifact=name, html=page, verdict=codec.encode_verdict(facts))

    async def Audit(self, request: audit_pb2.AuditRequest, context: Context) -> audit_pb2.AuditReport:
        """Checks what the service holds of a project."""
        project = project_of(request.parent, "parent")
        findings = [*await audit_runs(self._database, project), *await audit_stages(self._database, project)]
        return encode_report("campaigns", findings)
