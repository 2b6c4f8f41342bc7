"""The Python client: a stub for each service, and what every caller of a run needs."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import grpc

from cultivar.campaigns.v1 import campaigns_pb2_grpc
from cultivar.channel import Routes, secure_channel
from cultivar.connection import Connection, find_connection
from cultivar.datasets.v1 import datasets_pb2_grpc
from cultivar.evaluation.v1 import evaluation_pb2_grpc
from cultivar.filtering.v1 import filtering_pb2_grpc
from cultivar.generation.v1 import generation_pb2_grpc
from cultivar.identity.v1 import identity_pb2_grpc
from cultivar.review.v1 import review_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar.training.v1 import training_pb2_grpc

Resource = TypeVar("Resource")
FINAL_STATES = (run_pb2.RUN_STATE_SUCCEEDED, run_pb2.RUN_STATE_FAILED, run_pb2.RUN_STATE_CANCELLED)


class RunFailed(Exception):
    """A run ended in another state than SUCCEEDED; the message is the run's own."""


class Client:
    """Calls the services in one project, at one address or each at its own; a context manager that closes the channel.

    Calls raise grpc.RpcError; `explain` in cultivar.errors gives its sentence. They raise NotConnected where who has
    signed in by `cultivar login` must do so again.
    """

    def __init__(self, connection: Connection | None = None, project: str = "default") -> None:
        found = connection or find_connection()
        self.project = project
        self.console = found.console
        # Stubs ask no more of a channel than Routes has.
        self.channel = cast(grpc.Channel, Routes(found, secure_channel(found)))
        self.campaigns = campaigns_pb2_grpc.CampaignsServiceStub(self.channel)
        self.datasets = datasets_pb2_grpc.DatasetsServiceStub(self.channel)
        self.evaluation = evaluation_pb2_grpc.EvaluationServiceStub(self.channel)
        self.filtering = filtering_pb2_grpc.FilteringServiceStub(self.channel)
        self.generation = generation_pb2_grpc.GenerationServiceStub(self.channel)
        self.identity = identity_pb2_grpc.IdentityServiceStub(self.channel)
        self.review = review_pb2_grpc.ReviewServiceStub(self.channel)
        self.training = training_pb2_grpc.TrainingServiceStub(self.channel)

    @property
    def parent(self) -> str:
        """The name of the project, as requests want it."""
        return f"projects/{self.project}"

    def name(self, collection: str, identifier: str) -> str:
        """Returns the name of a resource of the project."""
        return f"{self.parent}/{collection}/{identifier}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()


def listed(call: Callable[[Any], Any], request: Any) -> Iterator[Any]:
    """Yields the resources on all pages of a `List…` call, asking for each page when it is needed."""
    asked = type(request)()
    asked.CopyFrom(request)
    while True:
        page = call(asked)
        (resources,) = (field.name for field in page.DESCRIPTOR.fields if field.is_repeated)
        yield from getattr(page, resources)
        if not page.next_page_token:
            return
        asked.page_token = page.next_page_token


def wait(changes: Iterator[Resource]) -> Resource:
    """Follows the stream of a `Watch…` call to its end; raises RunFailed unless the run SUCCEEDED."""
    last: Any = None
    for change in changes:
        last = change
    if last is None or last.run.state != run_pb2.RUN_STATE_SUCCEEDED:
        state = run_pb2.RunState.Name(last.run.state).removeprefix("RUN_STATE_") if last is not None else "unknown"
        raise RunFailed(f"the run is {state}: {last.run.error.message if last is not None else 'nothing was received'}")
    return last  # type: ignore[no-any-return]
