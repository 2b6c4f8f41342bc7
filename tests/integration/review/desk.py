"""A review service with one queue, as its tests use it."""

from typing import Any

import grpc
import pytest
from cultivar.audit.v1 import audit_pb2
from cultivar.review.v1 import review_pb2 as pb
from cultivar_artifacts import load_manifest, read_shards
from cultivar_records import Example, from_table
from cultivar_service.serving import Host

from tests.seeds import TASK

PARENT = "projects/default"
QUEUE = f"{PARENT}/queues/first"
SCORES = {"accuracy": 5, "tone": 4}


class Desk:
    """A review service with one queue of six examples."""

    def __init__(self, host: Host, stub: Any, examples: str) -> None:
        self.host = host
        self.stub = stub
        self.examples = examples

    async def create(self, queue_id: str = "first", request_id: str = "", **spec: Any) -> pb.Queue:
        """Creates a queue."""
        given = {"examples": self.examples, "task": TASK, "guidelines": "Read.", **spec}
        request = pb.CreateQueueRequest(
            parent=PARENT, queue_id=queue_id, request_id=request_id, spec=pb.QueueSpec(**given)
        )
        return await self.stub.CreateQueue(request)

    async def ask(self, seat: str = "") -> pb.LeaseTaskResponse:
        """Asks for a task."""
        return await self.stub.LeaseTask(pb.LeaseTaskRequest(name=QUEUE, seat=seat))

    async def lease(self, seat: str = "") -> pb.ReviewTask:
        """Leases a task."""
        answer = await self.ask(seat)
        assert answer.HasField("task")
        return answer.task

    async def submit(self, task: pb.ReviewTask, request_id: str = "", **said: Any) -> pb.Review:
        """Reviews a task."""
        given = {"scores": SCORES, "decision": pb.DECISION_ACCEPT, "reviewer_kind": pb.REVIEWER_KIND_PERSON, **said}
        request = pb.SubmitReviewRequest(
            name=task.name, lease_token=task.lease.token, request_id=request_id, review=pb.Review(**given)
        )
        return await self.stub.SubmitReview(request)

    async def close(self) -> pb.Queue:
        """Closes the queue."""
        return await self.stub.CloseQueue(pb.CloseQueueRequest(name=QUEUE))

    async def get(self) -> pb.Queue:
        """Returns the queue."""
        return await self.stub.GetQueue(pb.GetQueueRequest(name=QUEUE))

    async def read(self, name: str) -> list[Example]:
        """Reads the examples of an artifact."""
        assert self.host.parts is not None
        manifest = await load_manifest(self.host.parts.store, "default", name.split("/")[-1])
        return [
            example async for table in read_shards(self.host.parts.store, manifest) for example in from_table(table)
        ]

    async def audit(self) -> None:
        """Asserts that the service finds nothing wrong with itself."""
        report = await self.stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
        assert [finding.check for finding in report.findings if not finding.holds] == []


async def refused(call: Any) -> grpc.aio.AioRpcError:
    """Returns the error of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value


def reason(error: grpc.aio.AioRpcError) -> str:
    """Returns the details of an error as text."""
    return str(error.trailing_metadata())
