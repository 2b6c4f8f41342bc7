"""Review: queues, and the calls with which a program reviews as a person would."""

from dataclasses import dataclass
from typing import Any

import grpc
from cultivar.review.v1 import review_pb2 as pb
from cultivar.review.v1 import review_pb2_grpc
from cultivar_records import TaskSpec
from cultivar_service.calls import call
from cultivar_service.example_codec import encode_task

from cultivar_campaigns.peers.child import Child


@dataclass(frozen=True)
class QueueOrder:
    """What a queue is to ask."""

    queue_id: str
    examples: str
    seeds: str
    task: TaskSpec
    guidelines: str
    tags: tuple[str, ...]
    sample_size: int
    lease_seconds: int
    random_seed: int


@dataclass(frozen=True)
class Leased:
    """A task that is leased to us."""

    name: str
    token: int
    text: str
    label: str


@dataclass(frozen=True)
class Judgement:
    """What a program says of a task."""

    accept: bool
    scores: dict[str, int]
    tags: tuple[str, ...] = ()
    comment: str = ""


class Queues:
    """Queues of reviews."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = review_pb2_grpc.ReviewServiceStub(channel)

    async def create(self, parent: str, order: QueueOrder, request_id: str) -> Child:
        """Creates a queue."""
        spec = pb.QueueSpec(
            examples=order.examples,
            seeds=order.seeds,
            task=encode_task(order.task),
            guidelines=order.guidelines,
            tags=order.tags,
            sample_size=order.sample_size,
            lease_seconds=order.lease_seconds,
            random_seed=order.random_seed,
        )
        request = pb.CreateQueueRequest(parent=parent, queue_id=order.queue_id, spec=spec, request_id=request_id)
        return queue_child(await call(self._stub.CreateQueue, request))

    async def get(self, name: str) -> Child:
        """Returns a queue; it is WAITING until it is closed."""
        return queue_child(await call(self._stub.GetQueue, pb.GetQueueRequest(name=name)))

    async def close(self, name: str) -> Child:
        """Closes a queue, with what was reviewed."""
        return queue_child(await call(self._stub.CloseQueue, pb.CloseQueueRequest(name=name)))

    async def cancel(self, name: str) -> None:
        """Closes a queue, so that nobody reviews for nothing."""
        await self.close(name)

    async def report(self, name: str) -> dict[str, Any]:
        """Returns who reviewed (name, kind: person or program, program, reviewed, accepted, seconds) and the tags."""
        report = await call(self._stub.GetQueueReport, pb.GetQueueReportRequest(name=name))
        reviewers = [
            {
                "reviewer": one.reviewer,
                "kind": pb.ReviewerKind.Name(one.kind).removeprefix("REVIEWER_KIND_").lower(),
                "program": one.program,
                "reviewed": one.reviewed,
                "accepted": one.accepted,
                "median_seconds": one.median_seconds,
            }
            for one in report.reviewers
        ]
        return {"reviewers": reviewers, "tags": dict(report.tags)}

    async def lease(self, name: str, seat: str) -> Leased | None:
        """Leases a task of a queue; None where none is free."""
        leased = await call(self._stub.LeaseTask, pb.LeaseTaskRequest(name=name, seat=seat))
        if not leased.HasField("task"):
            return None
        texts = [message.content for message in leased.task.example.messages if message.role == "user"]
        return Leased(leased.task.name, leased.task.lease.token, texts[-1], leased.task.example.label)

    async def submit(self, task: Leased, judgement: Judgement, program: str) -> None:
        """Reviews a task as a program."""
        review = pb.Review(
            scores=judgement.scores,
            decision=pb.DECISION_ACCEPT if judgement.accept else pb.DECISION_DECLINE,
            tags=judgement.tags,
            comment=judgement.comment,
            reviewer_kind=pb.REVIEWER_KIND_PROGRAM,
            program=program,
        )
        request = pb.SubmitReviewRequest(name=task.name, lease_token=task.token, review=review)
        await call(self._stub.SubmitReview, request)


def queue_child(queue: pb.Queue) -> Child:
    """Reads a queue as the child of a campaign."""
    counts = {field.name: value for field, value in queue.counts.ListFields()}
    artifacts = {kind: getattr(queue, kind) for kind in ("accepted", "declined", "unreviewed", "reviews")}
    closed = queue.state == pb.QUEUE_STATE_CLOSED
    left = queue.counts.tasks - queue.counts.reviewed
    return Child(
        name=queue.name,
        state="SUCCEEDED" if closed else "WAITING",
        waiting_for="" if closed else f"{left} of {queue.counts.tasks} left to review in {queue.name}",
        progress={
            "stage": "reviewing",
            "done": queue.counts.reviewed,
            "total": queue.counts.tasks,
            "unit": "tasks",
            "counts": counts,
        },
        artifacts={kind: name for kind, name in artifacts.items() if name},
        result={"tasks": queue.counts.tasks, "reviewed": queue.counts.reviewed},
    )
