"""Filtering: runs that keep some candidates and reject the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from cultivar.filtering.v1 import filtering_pb2 as pb
from cultivar.filtering.v1 import filtering_pb2_grpc
from cultivar_records import TaskSpec
from cultivar_service.calls import call
from cultivar_service.example_codec import encode_task
from cultivar_service.struct_codec import encode_struct

from cultivar_campaigns.peers.child import Child, child_of
from cultivar_campaigns.peers.datasets import parameters


@dataclass(frozen=True)
class Filters:
    """What examples must pass: a recipe, or filters as pairs of name and parameters, and what they may not be near."""

    recipe: str
    filters: Sequence[tuple[str, dict[str, Any]]]
    held_out: Sequence[str]

    def spec(self) -> pb.FilterSpec:
        """Returns the message, without examples."""
        uses = [pb.FilterUse(filter=name, params=encode_struct(params)) for name, params in self.filters]
        return pb.FilterSpec(recipe=self.recipe, filters=uses, held_out=self.held_out)


@dataclass(frozen=True)
class FilterOrder:
    """What a filter run is to do."""

    examples: str
    task: TaskSpec
    by: Filters
    seeds: str


class FilterRuns:
    """Filter runs, and what they may be asked for."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = filtering_pb2_grpc.FilteringServiceStub(channel)

    async def filters(self, parent: str) -> dict[str, list[str]]:
        """Returns the filters, each with the names of its parameters."""
        found = await call(self._stub.ListFilters, pb.ListFiltersRequest(parent=parent))
        return {one.filter: parameters(one.params_schema) for one in found.filters}

    async def recipes(self, parent: str) -> list[str]:
        """Returns the names of the recipes."""
        found = await call(self._stub.ListRecipes, pb.ListRecipesRequest(parent=parent))
        return [one.recipe for one in found.recipes]

    async def create(self, parent: str, order: FilterOrder, request_id: str) -> Child:
        """Creates a filter run."""
        spec = order.by.spec()
        spec.examples, spec.seeds = order.examples, order.seeds
        spec.task.CopyFrom(encode_task(order.task))
        request = pb.CreateFilterRunRequest(parent=parent, spec=spec, request_id=request_id)
        return filter_child(await call(self._stub.CreateFilterRun, request))

    async def get(self, name: str) -> Child:
        """Returns a filter run."""
        return filter_child(await call(self._stub.GetFilterRun, pb.GetFilterRunRequest(name=name)))

    async def cancel(self, name: str) -> None:
        """Cancels a filter run."""
        await call(self._stub.CancelFilterRun, pb.CancelFilterRunRequest(name=name))


def filter_child(run: pb.FilterRun) -> Child:
    """Reads a filter run."""
    artifacts = {"kept": run.kept, "rejected": run.rejected, "failed": run.failed, "verdicts": run.verdicts}
    return child_of(run.name, run.run, artifacts, {"recipe": run.recipe})
