"""Evaluation: runs that score rows, and comparisons of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from cultivar.evaluation.v1 import evaluation_pb2 as pb
from cultivar.evaluation.v1 import evaluation_pb2_grpc
from cultivar_records import TaskSpec
from cultivar_service.calls import call
from cultivar_service.example_codec import encode_task

from cultivar_campaigns.peers.child import Child, child_of


@dataclass(frozen=True)
class EvaluationOrder:
    """What an evaluation run is to do."""

    examples: str
    task: TaskSpec
    base_model: str = ""
    adapter: str = ""
    shots: str = ""
    most_shots: int = 0
    random_seed: int = 0


@dataclass(frozen=True)
class Compared:
    """The second way against the first, on the same rows."""

    first: float
    second: float
    gain: float
    low: float
    high: float
    level: float
    rows: int
    covers_seeds: bool
    minimum_detectable_gain: float


class Evaluations:
    """Evaluation runs and comparisons."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = evaluation_pb2_grpc.EvaluationServiceStub(channel)

    async def create(self, parent: str, order: EvaluationOrder, request_id: str) -> Child:
        """Creates an evaluation run."""
        fields = {**order.__dict__, "task": encode_task(order.task)}
        spec = pb.EvaluationSpec(**fields)
        request = pb.CreateEvaluationRunRequest(parent=parent, spec=spec, request_id=request_id)
        return evaluation_child(await call(self._stub.CreateEvaluationRun, request))

    async def get(self, name: str) -> Child:
        """Returns an evaluation run."""
        return evaluation_child(await call(self._stub.GetEvaluationRun, pb.GetEvaluationRunRequest(name=name)))

    async def cancel(self, name: str) -> None:
        """Cancels an evaluation run."""
        await call(self._stub.CancelEvaluationRun, pb.CancelEvaluationRunRequest(name=name))

    async def compare(
        self, parent: str, first: Sequence[str], second: Sequence[str], metric: str, random_seed: int
    ) -> Compared:
        """Compares two ways of making a model, each by the names of its evaluation runs."""
        request = pb.CompareEvaluationsRequest(
            parent=parent, first=first, second=second, metric=metric, random_seed=random_seed
        )
        found = await call(self._stub.CompareEvaluations, request)
        return Compared(**{name: getattr(found, name) for name in Compared.__dataclass_fields__})


def evaluation_child(run: pb.EvaluationRun) -> Child:
    """Reads an evaluation run."""
    metrics = {
        one.metric: {"value": one.value, "low": one.low, "high": one.high, "level": one.level} for one in run.metrics
    }
    result = {"metrics": metrics, "times_scored": run.times_scored}
    return child_of(run.name, run.run, {"predictions": run.predictions}, result)
