"""Each service is restarted while clients call it: no call fails as a client sees it that retries by service config."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import grpc
import pytest
from cultivar.campaigns.v1 import campaigns_pb2, campaigns_pb2_grpc
from cultivar.cli.audit import SERVICES
from cultivar.datasets.v1 import datasets_pb2, datasets_pb2_grpc
from cultivar.evaluation.v1 import evaluation_pb2, evaluation_pb2_grpc
from cultivar.filtering.v1 import filtering_pb2, filtering_pb2_grpc
from cultivar.generation.v1 import generation_pb2, generation_pb2_grpc
from cultivar.review.v1 import review_pb2, review_pb2_grpc
from cultivar.training.v1 import training_pb2, training_pb2_grpc

from tests.pieces.conftest import Cluster

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(480)]
PARENT = "projects/default"
PAUSE_SECONDS = 0.05
Call = Callable[[], Awaitable[Any]]


@dataclass
class Load:
    """Calls all services in turn until it is stopped."""

    calls: dict[str, Call]
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Calls, and notes how long it took and what failed."""
        while True:
            for service, call in self.calls.items():
                began = time.monotonic()
                try:
                    await call()
                except grpc.aio.AioRpcError as error:
                    self.failures.append(f"{service}: {error.code().name} {error.details()}")
                self.seconds.append(time.monotonic() - began)
            await asyncio.sleep(PAUSE_SECONDS)


def reading(channel: Any) -> dict[str, Call]:
    """A call to each service that reads its database."""
    campaigns: Any = campaigns_pb2_grpc.CampaignsServiceStub(channel)
    datasets: Any = datasets_pb2_grpc.DatasetsServiceStub(channel)
    evaluation: Any = evaluation_pb2_grpc.EvaluationServiceStub(channel)
    filtering: Any = filtering_pb2_grpc.FilteringServiceStub(channel)
    generation: Any = generation_pb2_grpc.GenerationServiceStub(channel)
    review: Any = review_pb2_grpc.ReviewServiceStub(channel)
    training: Any = training_pb2_grpc.TrainingServiceStub(channel)
    return {
        "campaigns": lambda: campaigns.ListCampaigns(campaigns_pb2.ListCampaignsRequest(parent=PARENT)),
        "datasets": lambda: datasets.ListImportRuns(datasets_pb2.ListImportRunsRequest(parent=PARENT)),
        "evaluation": lambda: evaluation.ListEvaluationRuns(evaluation_pb2.ListEvaluationRunsRequest(parent=PARENT)),
        "filtering": lambda: filtering.ListFilterRuns(filtering_pb2.ListFilterRunsRequest(parent=PARENT)),
        "generation": lambda: generation.ListGenerationRuns(generation_pb2.ListGenerationRunsRequest(parent=PARENT)),
        "review": lambda: review.ListQueues(review_pb2.ListQueuesRequest(parent=PARENT)),
        "training": lambda: training.ListTrainingRuns(training_pb2.ListTrainingRunsRequest(parent=PARENT)),
    }


async def test_no_call_fails_while_each_service_is_restarted(
    cluster: Cluster, record_testsuite_property: Callable[[str, object], None]
) -> None:
    pieces, channel = cluster.pieces, cluster.pieces.channel()
    versions: list[int] = []
    prompts: Any = generation_pb2_grpc.GenerationServiceStub(channel)

    async def write() -> None:
        text = f"{{{{ text }}}} {uuid4().hex}"
        prompt = generation_pb2.Prompt(form=generation_pb2.PROMPT_FORM_CHAT, template=text, description="Made here.")
        request = generation_pb2.CreatePromptRequest(parent=PARENT, prompt_id="under-load", prompt=prompt)
        versions.append((await prompts.CreatePrompt(request)).version)

    loads = [Load(reading(channel)), Load(reading(channel)), Load({"writing": write, **reading(channel)})]
    running = [asyncio.create_task(load.run()) for load in loads]
    try:
        for number in range(2):
            replicas = [pieces.of(service)[number] for service in SERVICES]
            assert await asyncio.gather(*(each.stop() for each in replicas)) == [0] * len(replicas)
            await asyncio.gather(*(each.start() for each in replicas))
            await asyncio.gather(*(each.until_ready(pieces.ca) for each in replicas))
            await asyncio.sleep(2)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    seconds = sorted(second for load in loads for second in load.seconds)
    record_testsuite_property("calls", len(seconds))
    record_testsuite_property("slowest_seconds", round(seconds[-1], 3))
    record_testsuite_property("median_seconds", round(seconds[len(seconds) // 2], 4))
    assert [failure for load in loads for failure in load.failures] == []
    assert len(seconds) > 200
    # A call that took effect, and was made again because its answer was lost, would have made a version more.
    assert versions == list(range(1, len(versions) + 1))
    await channel.close()
