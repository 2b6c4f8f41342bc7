"""A review: what it may say of an example, and what an accepted one becomes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from cultivar_records import Example, Message, Score, TaskKind
from cultivar_service.errors import InvalidArgument
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cultivar_review.queues import QueueSpec, Tag, Text

Decision = Literal["accept", "decline"]
Kind = Literal["person", "program"]
Given = Annotated[int, Field(ge=1, le=5)]
Written = Annotated[Text, Field(max_length=100_000)]


class Review(BaseModel):
    """What a reviewer says of an example."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    decision: Decision
    scores: dict[str, Given] = Field(default_factory=dict)
    edited_text: Written = ""
    edited_answer: Written = ""
    label: Text = ""
    tags: tuple[Tag, ...] = Field((), max_length=50)
    comment: Text = Field("", max_length=10_000)
    kind: Kind = "person"
    program: Text = Field("", max_length=128)

    @model_validator(mode="after")
    def _a_program_has_a_name(self) -> "Review":
        if (self.kind == "program") != bool(self.program):
            raise ValueError("program must be set for a PROGRAM, and empty for a PERSON")
        return self


def check(review: Review, spec: QueueSpec, example: Example) -> Review:
    """Returns a review without edits that change nothing; raises InvalidArgument where the queue does not allow it."""
    check_scores(review, spec)
    if unknown := [tag for tag in review.tags if spec.tags and tag not in spec.tags]:
        raise InvalidArgument(
            f"review.tags: the queue has no tag {unknown[0]!r}; its tags are {', '.join(spec.tags)}",
            field="review.tags",
        )
    if review.label and review.label not in spec.task.labels:
        known = ", ".join(spec.task.labels) or "none"
        raise InvalidArgument(f"review.label: the labels of the task are: {known}", field="review.label")
    check_edits(review, example)
    changes = {
        "edited_text": "" if review.edited_text == example.text else review.edited_text,
        "edited_answer": "" if review.edited_answer == example.answer else review.edited_answer,
        "label": "" if review.label == example.label else review.label,
        "tags": tuple(dict.fromkeys(review.tags)),
    }
    return review.model_copy(update=changes)


def check_scores(review: Review, spec: QueueSpec) -> None:
    """Raises InvalidArgument for a score that the rubric does not have, or one that is missing to accept."""
    names = [criterion.criterion for criterion in spec.rubric]
    for name in review.scores:
        if name not in names:
            raise InvalidArgument(
                f"review.scores: the rubric has no criterion {name[:80]!r}; it has {', '.join(names)}",
                field=f"review.scores.{name[:80]}",
            )
    missing = [name for name in names if name not in review.scores]
    if review.decision == "accept" and missing:
        raise InvalidArgument(
            f"review.scores.{missing[0]} is missing: score each criterion from 1 to 5 to accept",
            field=f"review.scores.{missing[0]}",
        )


def check_edits(review: Review, example: Example) -> None:
    """Raises InvalidArgument for an edit that the example cannot take."""
    for field in ("edited_text", "edited_answer"):
        edited = getattr(review, field)
        if edited and not edited.strip():
            raise InvalidArgument(f"review.{field} is blank: leave it empty, or decline", field=f"review.{field}")
    if review.edited_text and example.spans:
        raise InvalidArgument(
            "review.edited_text would move the marked entities: leave the text, or decline", field="review.edited_text"
        )
    if review.edited_answer and example.task in (TaskKind.CLASSIFICATION, TaskKind.ENTITIES):
        raise InvalidArgument(
            "review.edited_answer is for tasks without labels: correct review.label", field="review.edited_answer"
        )
    if example.rejected is not None and review.edited_answer.strip() == example.rejected.strip():
        raise InvalidArgument(
            "review.edited_answer is the rejected answer itself: word it otherwise, or decline",
            field="review.edited_answer",
        )


def edits(review: Review) -> bool:
    """Tells whether a review accepts the example with a change."""
    return review.decision == "accept" and bool(review.edited_text or review.edited_answer or review.label)


def edited(example: Example, review: Review, reviewer: str) -> Example:
    """Returns an accepted example with the scores and edits of its review, and who made these."""
    scores = tuple(Score(criterion=name, score=score) for name, score in sorted(review.scores.items()))
    scored = example.provenance.model_copy(update={"scores": scores})
    if not edits(review):
        return example.model_copy(update={"provenance": scored})
    messages = list(example.messages)
    if review.edited_text:
        place = max(number for number, message in enumerate(messages) if message.role == "user")
        messages[place] = Message(role="user", content=review.edited_text)
    label = review.label or example.label
    if review.label or review.edited_answer:
        messages[-1] = Message(role="assistant", content=review.label or review.edited_answer)
    provenance = scored.model_copy(update={"edited_by": reviewer})
    fields = {name: getattr(example, name) for name in Example.model_fields}
    return Example(**{**fields, "messages": tuple(messages), "label": label, "provenance": provenance})


@dataclass(frozen=True)
class Reviewed:
    """A review with its task, reviewer and time."""

    task: str
    example: str
    review: Review
    reviewer: str
    label: str
    strategy: str
    prompt: str
    seconds: float
    submit_time: datetime

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> "Reviewed":
        """Reads a row of the table."""
        fields = {name: row[name] for name in cls.__dataclass_fields__ if name != "review"}
        return cls(**fields, review=Review.model_validate(row["body"]))
