"""The evaluation servicer."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from cultivar.audit.v1 import audit_pb2
from cultivar.evaluation.v1 import evaluation_pb2 as pb
from cultivar.evaluation.v1 import evaluation_pb2_grpc as pb_grpc
from cultivar_artifacts import ArtifactStore, load_manifest
from cultivar_service.artifacts import open_artifact
from cultivar_service.audit import audit_runs
from cultivar_service.audit_codec import encode_report
from cultivar_service.engine import Engine
from cultivar_service.errors import InvalidArgument
from cultivar_service.names import project_of, split_name
from cultivar_service.paging import page_size
from cultivar_service.principal import current_principal
from cultivar_service.runs import SUCCEEDED, Runs

from cultivar_evaluation import codec
from cultivar_evaluation.comparing import compare
from cultivar_evaluation.errors import MetricUnfit, MetricUnknown, NotEnded
from cultivar_evaluation.metrics import METRICS, Predictions
from cultivar_evaluation.plan import EvaluationSpec
from cultivar_evaluation.predictions import read_predictions

Context = grpc.aio.ServicerContext[Any, Any]


class EvaluationServicer(pb_grpc.EvaluationServiceServicer):
    """Decodes a request, calls, and encodes the answer."""

    def __init__(self, runs: Runs, engine: Engine, store: ArtifactStore) -> None:
        self._runs = runs
        self._engine = engine
        self._store = store

    async def CreateEvaluationRun(self, request: pb.CreateEvaluationRunRequest, context: Context) -> pb.EvaluationRun:
        """Creates an evaluation run."""
        project = project_of(request.parent, "parent")
        base = ""
        if request.spec.adapter:
            adapter = await open_artifact(self._store, project, request.spec.adapter, "spec.adapter")
            base = str(adapter.config.get("base_model", ""))
        await open_artifact(self._store, project, request.spec.examples, "spec.examples")
        spec = codec.decode_spec(project, request.spec, base)
        principal = current_principal.get()
        run = await self._runs.create(principal, project, request.request_id, spec.model_dump(mode="json"))
        self._engine.nudge()
        return codec.encode_evaluation_run(run)

    async def GetEvaluationRun(self, request: pb.GetEvaluationRunRequest, context: Context) -> pb.EvaluationRun:
        """Returns an evaluation run."""
        return codec.encode_evaluation_run(await self._runs.get(*split_name(request.name, self._runs.collection)))

    async def ListEvaluationRuns(
        self, request: pb.ListEvaluationRunsRequest, context: Context
    ) -> pb.ListEvaluationRunsResponse:
        """Lists the evaluation runs of a project."""
        project = project_of(request.parent, "parent")
        page = await self._runs.list(project, page_size(request.page_size), request.page_token)
        runs = [codec.encode_evaluation_run(run) for run in page.items]
        return pb.ListEvaluationRunsResponse(evaluation_runs=runs, next_page_token=page.next_page_token)

    async def WatchEvaluationRun(
        self, request: pb.WatchEvaluationRunRequest, context: Context
    ) -> AsyncIterator[pb.EvaluationRun]:
        """Streams an evaluation run until it ends."""
        async for run in self._runs.watch(*split_name(request.name, self._runs.collection)):
            yield codec.encode_evaluation_run(run)

    async def CancelEvaluationRun(self, request: pb.CancelEvaluationRunRequest, context: Context) -> pb.EvaluationRun:
        """Cancels an evaluation run."""
        name = split_name(request.name, self._runs.collection)
        return codec.encode_evaluation_run(await self._runs.cancel(current_principal.get(), *name))

    async def CompareEvaluations(self, request: pb.CompareEvaluationsRequest, context: Context) -> pb.Comparison:
        """Compares two ways of making a model."""
        project = project_of(request.parent, "parent")
        metric = request.metric or "accuracy"
        if metric not in METRICS:
            raise MetricUnknown(metric, METRICS)
        first = await self._predictions(project, request.first, "first", metric)
        second = await self._predictions(project, request.second, "second", metric)
        # Ten thousand resamples take a while, and the event loop serves others.
        compared = await asyncio.to_thread(compare, metric, first, second, request.random_seed)
        return codec.encode_comparison(metric, compared, len(first), len(second))

    async def _predictions(self, project: str, names: Iterable[str], field: str, metric: str) -> list[Predictions]:
        found: list[Predictions] = []
        for name in names:
            owner, run_id = split_name(name, self._runs.collection, field)
            if owner != project:
                raise InvalidArgument(f"{field} names a run of another project", field=field)
            run = await self._runs.get(project, run_id)
            if run.state != SUCCEEDED:
                raise NotEnded(name, run.state)
            kind = EvaluationSpec.model_validate(run.spec).task.kind
            if kind not in METRICS[metric].tasks:
                raise MetricUnfit(metric, kind, [each for each in METRICS if kind in METRICS[each].tasks])
            manifest = await load_manifest(self._store, project, run.result["predictions"])
            found.append(await read_predictions(self._store, manifest))
        if not found:
            raise InvalidArgument(f"{field} is empty: name at least one evaluation run", field=field)
        return found

    async def ListMetrics(self, request: pb.ListMetricsRequest, context: Context) -> pb.ListMetricsResponse:
        """Lists the metrics."""
        metrics = [pb.Metric(metric=name, description=METRICS[name].description) for name in sorted(METRICS)]
        return pb.ListMetricsResponse(metrics=metrics)

    async def Audit(self, request: audit_pb2.AuditRequest, context: Context) -> audit_pb2.AuditReport:
        """Checks what the service holds of a project."""
        project = project_of(request.parent, "parent")
        return encode_report("evaluation", await audit_runs(self._runs.database, project))
