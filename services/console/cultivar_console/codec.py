"""Messages of review to and from what the page's script sends and reads."""

import time
from typing import Annotated, Any, Literal

from cultivar.example.v1 import example_pb2
from cultivar.review.v1 import review_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, ConfigDict, Field

NO_TASK = {pb.NO_TASK_ALL_REVIEWED: "all_reviewed", pb.NO_TASK_ALL_LEASED: "all_leased"}


class Held(BaseModel):
    """A lease, as the script holds it."""

    model_config = ConfigDict(extra="forbid")

    token: int = Field(ge=0, lt=2**53)


class Said(Held):
    """A review as the script sends it; the review service says whether it may be so."""

    decision: Literal["", "accept", "decline"] = ""
    scores: dict[str, Annotated[int, Field(ge=0, le=9)]] = Field(default_factory=dict)
    edited_text: str = ""
    edited_answer: str = ""
    label: str = ""
    tags: list[str] = Field(default_factory=list)
    comment: str = ""

    def message(self) -> pb.Review:
        """Returns the review as a message, by a person."""
        decision = f"DECISION_{self.decision.upper() or 'UNSPECIFIED'}"
        return pb.Review(
            **self.model_dump(exclude={"token", "decision"}),
            decision=pb.Decision.Value(decision),
            reviewer_kind=pb.REVIEWER_KIND_PERSON,
        )


def encode_answer(answer: pb.LeaseTaskResponse) -> dict[str, Any]:
    """Returns a leased task, or why there is none, as JSON data."""
    return {
        "task": encode_task(answer.task) if answer.HasField("task") else None,
        "none": NO_TASK.get(answer.no_task, ""),
        "free_seconds": seconds_until(answer.free_time) if answer.HasField("free_time") else None,
        "reviewed": answer.counts.reviewed,
        "tasks": answer.counts.tasks,
    }


def encode_task(task: pb.ReviewTask) -> dict[str, Any]:
    """Returns a leased task as JSON data."""
    *before, answer = task.example.messages
    return {
        "id": task.name.rsplit("/", 1)[-1],
        "name": task.name,
        "messages": [{"role": message.role, "content": message.content} for message in before],
        "text": text_of(task.example),
        "answer": answer.content,
        "label": task.example.label,
        "rejected": task.example.rejected,
        "evidence": list(task.example.evidence),
        "seeds": [{"text": text_of(seed), "answer": seed.messages[-1].content} for seed in task.seeds],
        "lease": encode_lease(task.lease),
    }


def encode_lease(lease: pb.Lease) -> dict[str, Any]:
    """Returns a lease as JSON data; seconds, since the clock of a browser may be wrong."""
    return {"token": lease.token, "seconds": seconds_until(lease.expire_time)}


def text_of(example: example_pb2.Example) -> str:
    """Returns the content of the last message of the user."""
    return next((message.content for message in reversed(example.messages) if message.role == "user"), "")


def seconds_until(moment: Timestamp) -> float:
    """Returns the seconds from now to a time, 0 for one that is over."""
    return max(0.0, round(moment.ToNanoseconds() / 1e9 - time.time(), 1))
