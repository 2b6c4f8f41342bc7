"""Generation: runs that write candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.generation.v1 import generation_pb2_grpc
from cultivar_records import TaskSpec
from cultivar_service.calls import LONG_CALL_SECONDS, call
from cultivar_service.example_codec import encode_task
from cultivar_service.struct_codec import encode_struct

from cultivar_campaigns.peers.child import Child, child_of
from cultivar_campaigns.peers.datasets import parameters
from cultivar_campaigns.peers.filtering import Filters


@dataclass(frozen=True)
class StrategyOrder:
    """One use of a strategy; the prompt is a resource name or empty."""

    strategy: str
    params: dict[str, Any]
    prompt: str
    count: int
    refill: bool = False


@dataclass(frozen=True)
class GenerationOrder:
    """What a generation run is to do; `teachers` have their shares of the calls by name.

    tokens, cost: the most that it may spend, 0 for no bound. filters: what a candidate must pass to count, where a
    strategy refills.
    """

    seeds: str
    task: TaskSpec
    strategies: Sequence[StrategyOrder]
    teachers: Mapping[str, float]
    random_seed: int
    round: int
    tokens: int = 0
    cost: float = 0.0
    filters: Filters | None = None


class GenerationRuns:
    """Generation runs, and what they may be asked for."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = generation_pb2_grpc.GenerationServiceStub(channel)

    async def strategies(self, parent: str) -> dict[str, list[str]]:
        """Returns the strategies, each with the names of its parameters."""
        found = await call(self._stub.ListStrategies, pb.ListStrategiesRequest(parent=parent))
        return {one.strategy: parameters(one.params_schema) for one in found.strategies}

    async def teachers(self, parent: str) -> list[str]:
        """Returns the ids of the teachers of a project."""
        found = await call(self._stub.ListTeachers, pb.ListTeachersRequest(parent=parent))
        return [one.name.rpartition("/")[2] for one in found.teachers]

    async def prompts(self, parent: str) -> list[str]:
        """Returns the names of the prompts of a project, without their versions."""
        found = await call(self._stub.ListPrompts, pb.ListPromptsRequest(parent=parent))
        return [one.name.rpartition("/")[2].partition("@")[0] for one in found.prompts]

    async def create(self, parent: str, order: GenerationOrder, request_id: str) -> Child:
        """Creates a generation run."""
        uses = [
            pb.StrategyUse(
                strategy=use.strategy,
                params=encode_struct(use.params),
                prompt=use.prompt,
                count=use.count,
                refill=use.refill,
            )
            for use in order.strategies
        ]
        spec = pb.GenerationSpec(
            seeds=order.seeds,
            task=encode_task(order.task),
            strategies=uses,
            teachers=[pb.WeightedTeacher(teacher=name, weight=weight) for name, weight in order.teachers.items()],
            random_seed=order.random_seed,
            round=order.round,
            budget=pb.Budget(tokens=order.tokens, cost=order.cost),
            filter=order.filters.spec() if order.filters else None,
        )
        request = pb.CreateGenerationRunRequest(parent=parent, spec=spec, request_id=request_id)
        return generation_child(await call(self._stub.CreateGenerationRun, request))

    async def retry(self, name: str, request_id: str) -> Child:
        """Lets a generation run go on with the calls that it has not made."""
        request = pb.RetryGenerationRunRequest(name=name, request_id=request_id)
        return generation_child(await call(self._stub.RetryGenerationRun, request))

    async def get(self, name: str) -> Child:
        """Returns a generation run."""
        return generation_child(await call(self._stub.GetGenerationRun, pb.GetGenerationRunRequest(name=name)))

    async def record(self, parent: str, artifact: str) -> None:
        """Lets generation take down what verdicts or reviews say of its prompts."""
        request = pb.RecordPromptOutcomesRequest(parent=parent, artifact=artifact)
        await call(self._stub.RecordPromptOutcomes, request, LONG_CALL_SECONDS)

    async def cancel(self, name: str) -> None:
        """Cancels a generation run."""
        await call(self._stub.CancelGenerationRun, pb.CancelGenerationRunRequest(name=name))


def generation_child(run: pb.GenerationRun) -> Child:
    """Reads a generation run."""
    return child_of(run.name, run.run, {"candidates": run.candidates, "calls": run.calls})
