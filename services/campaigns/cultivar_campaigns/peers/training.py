"""Training: runs that make adapters."""

from dataclasses import dataclass
from typing import Any

import grpc
from cultivar.training.v1 import training_pb2 as pb
from cultivar.training.v1 import training_pb2_grpc
from cultivar_records import TaskSpec
from cultivar_service.calls import call
from cultivar_service.example_codec import encode_task

from cultivar_campaigns.peers.child import Child, child_of


@dataclass(frozen=True)
class TrainingOrder:
    """What a training run is to do; `given` holds the hyperparameters that the campaign sets, `lora` those of LoRA."""

    dataset: str
    validation: str
    task: TaskSpec
    random_seed: int
    given: dict[str, Any]
    lora: dict[str, Any]


class TrainingRuns:
    """Training runs."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = training_pb2_grpc.TrainingServiceStub(channel)

    async def check(self, parent: str, order: TrainingOrder) -> None:
        """Checks what a training run would be, without its rows; raises InvalidArgument for what is wrong."""
        request = pb.CreateTrainingRunRequest(parent=parent, spec=spec_of(order), validate_only=True)
        await call(self._stub.CreateTrainingRun, request)

    async def create(self, parent: str, order: TrainingOrder, request_id: str) -> Child:
        """Creates a training run."""
        request = pb.CreateTrainingRunRequest(parent=parent, spec=spec_of(order), request_id=request_id)
        return training_child(await call(self._stub.CreateTrainingRun, request))

    async def get(self, name: str) -> Child:
        """Returns a training run."""
        return training_child(await call(self._stub.GetTrainingRun, pb.GetTrainingRunRequest(name=name)))

    async def cancel(self, name: str) -> None:
        """Cancels a training run."""
        await call(self._stub.CancelTrainingRun, pb.CancelTrainingRunRequest(name=name))


def spec_of(order: TrainingOrder) -> pb.TrainingSpec:
    """Returns what a training run is to do."""
    return pb.TrainingSpec(
        dataset=order.dataset,
        validation=order.validation,
        task=encode_task(order.task),
        random_seed=order.random_seed,
        lora=pb.Lora(**order.lora),
        **order.given,
    )


def training_child(run: pb.TrainingRun) -> Child:
    """Reads a training run."""
    result = {"model": run.model, "base_model": run.spec.base_model, "measures": dict(run.run.progress.measures)}
    return child_of(run.name, run.run, {"adapter": run.adapter}, result)
