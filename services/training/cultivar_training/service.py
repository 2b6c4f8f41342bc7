"""The training servicer."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from cultivar.audit.v1 import audit_pb2
from cultivar.training.v1 import training_pb2 as pb
from cultivar.training.v1 import training_pb2_grpc as pb_grpc
from cultivar_artifacts import ArtifactStore
from cultivar_service.artifacts import COLLECTION, artifact_digest, open_artifact
from cultivar_service.audit import audit_runs
from cultivar_service.audit_codec import encode_report
from cultivar_service.database import Database
from cultivar_service.engine import Engine
from cultivar_service.errors import InvalidArgument
from cultivar_service.idempotency import once
from cultivar_service.names import project_of, split_name
from cultivar_service.paging import page_size
from cultivar_service.principal import current_principal
from cultivar_service.runs import Runs
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_training import aliases, codec, store
from cultivar_training.audit import audit_adapters, audit_aliases
from cultivar_training.errors import DatasetUnusable
from cultivar_training.plan import RunSpec

Context = grpc.aio.ServicerContext[Any, Any]


class TrainingServicer(pb_grpc.TrainingServiceServicer):
    """Decodes a request, calls, and encodes the answer."""

    def __init__(self, database: Database, artifacts: ArtifactStore, runs: Runs, engine: Engine, workers: int) -> None:
        self._database = database
        self._artifacts = artifacts
        self._runs = runs
        self._engine = engine
        self._workers = workers

    async def CreateTrainingRun(self, request: pb.CreateTrainingRunRequest, context: Context) -> pb.TrainingRun:
        """Creates a training run."""
        project = project_of(request.parent, "parent")
        if request.validate_only:
            checked = codec.decode_spec(project, request.spec, self._workers)
            return pb.TrainingRun(spec=codec.encode_spec(project, checked))
        spec = await self._resolve(project, request.spec)
        principal = current_principal.get()
        run = await self._runs.create(principal, project, request.request_id, spec.model_dump(mode="json"))
        self._engine.nudge()
        return codec.encode_training_run(run)

    async def _resolve(self, project: str, spec: pb.TrainingSpec) -> RunSpec:
        if not spec.dataset:
            raise InvalidArgument("spec.dataset is empty: name the artifact to train on", field="spec.dataset")
        resolved = codec.decode_spec(project, spec, self._workers)
        for name, field in ((spec.dataset, "spec.dataset"), (spec.validation, "spec.validation")):
            if name and (await open_artifact(self._artifacts, project, name, field)).rows == 0:
                raise DatasetUnusable(f"{field} has no rows: name an artifact of examples", field=field)
        return resolved

    async def GetTrainingRun(self, request: pb.GetTrainingRunRequest, context: Context) -> pb.TrainingRun:
        """Returns a training run."""
        return codec.encode_training_run(await self._runs.get(*split_name(request.name, self._runs.collection)))

    async def ListTrainingRuns(
        self, request: pb.ListTrainingRunsRequest, context: Context
    ) -> pb.ListTrainingRunsResponse:
        """Lists the training runs of a project."""
        project = project_of(request.parent, "parent")
        page = await self._runs.list(project, page_size(request.page_size), request.page_token)
        runs = [codec.encode_training_run(run) for run in page.items]
        return pb.ListTrainingRunsResponse(training_runs=runs, next_page_token=page.next_page_token)

    async def WatchTrainingRun(
        self, request: pb.WatchTrainingRunRequest, context: Context
    ) -> AsyncIterator[pb.TrainingRun]:
        """Streams a training run until it ends."""
        async for run in self._runs.watch(*split_name(request.name, self._runs.collection)):
            yield codec.encode_training_run(run)

    async def CancelTrainingRun(self, request: pb.CancelTrainingRunRequest, context: Context) -> pb.TrainingRun:
        """Cancels a training run."""
        name = split_name(request.name, self._runs.collection)
        return codec.encode_training_run(await self._runs.cancel(current_principal.get(), *name))

    async def GetAdapter(self, request: pb.GetAdapterRequest, context: Context) -> pb.Adapter:
        """Returns an adapter."""
        project, _ = split_name(request.name, COLLECTION)
        digest = artifact_digest(project, request.name, "name")
        async with self._database.begin() as connection:
            return codec.encode_adapter(*await store.get_adapter(connection, project, digest))

    async def ListAdapters(self, request: pb.ListAdaptersRequest, context: Context) -> pb.ListAdaptersResponse:
        """Lists the adapters of a project."""
        project, size = project_of(request.parent, "parent"), page_size(request.page_size)
        async with self._database.begin() as connection:
            page = await store.list_adapters(connection, project, size, request.page_token)
        adapters = [codec.encode_adapter(*adapter) for adapter in page.items]
        return pb.ListAdaptersResponse(adapters=adapters, next_page_token=page.next_page_token)

    async def SetAlias(self, request: pb.SetAliasRequest, context: Context) -> pb.Alias:
        """Makes an alias name an adapter."""
        project, alias = project_of(request.parent, "parent"), codec.decode_alias(request.alias_id)
        digest = artifact_digest(project, request.adapter, "adapter")

        async def effect(connection: AsyncConnection) -> pb.Alias:
            _, run = await store.get_adapter(connection, project, digest)
            base_model = codec.base_model_of(run)
            principal = current_principal.get()
            place = project, alias, digest, base_model
            return codec.encode_alias(await aliases.set_alias(connection, self._artifacts, principal, *place))

        return await once(self._database, request, pb.Alias, effect)

    async def GetAlias(self, request: pb.GetAliasRequest, context: Context) -> pb.Alias:
        """Returns an alias."""
        name = split_name(request.name, aliases.COLLECTION)
        async with self._database.begin() as connection:
            newest = await aliases.get_alias(connection, *name)
            return codec.encode_alias(newest, await aliases.list_moves(connection, *name))

    async def ListAliases(self, request: pb.ListAliasesRequest, context: Context) -> pb.ListAliasesResponse:
        """Lists the aliases of a project."""
        project = project_of(request.parent, "parent")
        async with self._database.begin() as connection:
            found = await aliases.list_aliases(connection, project)
        return pb.ListAliasesResponse(aliases=[codec.encode_alias(newest) for newest in found])

    async def Audit(self, request: audit_pb2.AuditRequest, context: Context) -> audit_pb2.AuditReport:
        """Checks what the service holds of a project."""
        project = project_of(request.parent, "parent")
        findings = await audit_runs(self._database, project)
        findings += await audit_adapters(self._database, self._artifacts, project)
        findings += await audit_aliases(self._database, self._artifacts, project)
        return encode_report("training", findings)
