"""The filtering servicer."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from cultivar.audit.v1 import audit_pb2
from cultivar.filtering.v1 import filtering_pb2 as pb
from cultivar.filtering.v1 import filtering_pb2_grpc as pb_grpc
from cultivar_artifacts import ArtifactStore, load_manifest
from cultivar_service.audit import audit_runs
from cultivar_service.audit_codec import encode_report
from cultivar_service.database import Database
from cultivar_service.engine import Engine
from cultivar_service.names import project_of, split_name
from cultivar_service.paging import page_size
from cultivar_service.principal import current_principal
from cultivar_service.runs import Runs

from cultivar_filtering import codec
from cultivar_filtering.explain import Explainer
from cultivar_filtering.filters import FILTERS
from cultivar_filtering.recipes import RECIPES
from cultivar_filtering.store import audit_artifacts

Context = grpc.aio.ServicerContext[Any, Any]


class FilteringServicer(pb_grpc.FilteringServiceServicer):
    """Decodes a request, calls, and encodes the answer."""

    def __init__(self, database: Database, runs: Runs, engine: Engine, store: ArtifactStore) -> None:
        self._database = database
        self._runs = runs
        self._engine = engine
        self._store = store
        self._explainer = Explainer(store)

    async def CreateFilterRun(self, request: pb.CreateFilterRunRequest, context: Context) -> pb.FilterRun:
        """Creates a filter run."""
        project = project_of(request.parent, "parent")
        spec = codec.decode_spec(project, request.spec)
        for digest in spec.parents:
            await load_manifest(self._store, project, digest)
        if request.validate_only:
            return pb.FilterRun(spec=codec.encode_spec(project, spec))
        principal = current_principal.get()
        run = await self._runs.create(principal, project, request.request_id, spec.model_dump(mode="json"))
        self._engine.nudge()
        return codec.encode_filter_run(run)

    async def GetFilterRun(self, request: pb.GetFilterRunRequest, context: Context) -> pb.FilterRun:
        """Returns a filter run."""
        return codec.encode_filter_run(await self._runs.get(*split_name(request.name, self._runs.collection)))

    async def ListFilterRuns(self, request: pb.ListFilterRunsRequest, context: Context) -> pb.ListFilterRunsResponse:
        """Lists the filter runs of a project."""
        project = project_of(request.parent, "parent")
        page = await self._runs.list(project, page_size(request.page_size), request.page_token)
        runs = [codec.encode_filter_run(run) for run in page.items]
        return pb.ListFilterRunsResponse(filter_runs=runs, next_page_token=page.next_page_token)

    async def WatchFilterRun(self, request: pb.WatchFilterRunRequest, context: Context) -> AsyncIterator[pb.FilterRun]:
        """Streams a filter run until it ends."""
        async for run in self._runs.watch(*split_name(request.name, self._runs.collection)):
            yield codec.encode_filter_run(run)

    async def CancelFilterRun(self, request: pb.CancelFilterRunRequest, context: Context) -> pb.FilterRun:
        """Cancels a filter run."""
        name = split_name(request.name, self._runs.collection)
        return codec.encode_filter_run(await self._runs.cancel(current_principal.get(), *name))

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> pb.ExplainResponse:
        """Says why an example was kept or rejected."""
        run = await self._runs.get(*split_name(request.name, self._runs.collection))
        return codec.encode_explanation(await self._explainer.explain(run, request.name, request.example_id))

    async def ListFilters(self, request: pb.ListFiltersRequest, context: Context) -> pb.ListFiltersResponse:
        """Lists the filters."""
        return pb.ListFiltersResponse(filters=[codec.encode_filter(name) for name in sorted(FILTERS)])

    async def ListRecipes(self, request: pb.ListRecipesRequest, context: Context) -> pb.ListRecipesResponse:
        """Lists the recipes that ship with Cultivar."""
        return pb.ListRecipesResponse(recipes=[codec.encode_recipe(recipe) for recipe in RECIPES.values()])

    async def Audit(self, request: audit_pb2.AuditRequest, context: Context) -> audit_pb2.AuditReport:
        """Checks what the service holds of a project."""
        project = project_of(request.parent, "parent")
        findings, counts = await audit_artifacts(self._database, project)
        return encode_report("filtering", [*await audit_runs(self._database, project), *findings], counts)
