"""Queues: what one asks of its reviewers, resolved and stored whole with it, and how far it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from cultivar_records import TaskSpec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MOST_TASKS = 100_000
LEASE_SECONDS = 900


def without_nul(text: str) -> str:
    """Returns a text; raises ValueError where it holds U+0000, which PostgreSQL cannot keep."""
    if "\x00" in text:
        raise ValueError("must not hold the character U+0000: remove it")
    return text


Text = Annotated[str, AfterValidator(without_nul)]
Tag = Annotated[Text, Field(min_length=1, max_length=64)]


class Criterion(BaseModel):
    """One thing that a reviewer scores from 1 to 5."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    criterion: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    question: Text = Field("", max_length=1000)
    anchors: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _anchors_are_five(self) -> "Criterion":
        if len(self.anchors) not in (0, 5):
            raise ValueError(f"anchors must be five, for the scores 1 to 5, or none; got {len(self.anchors)}")
        return self


RUBRIC = (
    Criterion(
        criterion="accuracy",
        question="Does the answer or label fit the text?",
        anchors=(
            "Plainly wrong, or none fits.",
            "Another one fits better.",
            "It can be defended, but the text leaves out what would settle it.",
            "Right; another one has to be ruled out.",
            "Anybody who knows the subject would say the same at once.",
        ),
    ),
    Criterion(
        criterion="tone",
        question="Does it sound like a real person?",
        anchors=(
            "No person's voice, or not understandable.",
            "Written for a brochure or an exam.",
            "Possible, but could come from anybody.",
            "Natural, though a little smooth.",
            "A detail, a mood or a turn of phrase that nobody would invent.",
        ),
    ),
)
"""The rubric of a queue that names none."""


class QueueSpec(BaseModel):
    """What a queue asks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    examples: str = Field(description="The digest of the examples' manifest.")
    task: TaskSpec
    guidelines: Text = Field("", max_length=200_000)
    rubric: tuple[Criterion, ...] = Field(RUBRIC, min_length=1, max_length=20)
    tags: tuple[Tag, ...] = Field((), max_length=200)
    sample_size: int = Field(0, ge=0, le=MOST_TASKS)
    random_seed: int = 0
    lease_seconds: int = Field(LEASE_SECONDS, ge=1, le=86_400)
    seeds: str = Field("", description="The digest of the seeds' manifest; empty for none.")

    @model_validator(mode="after")
    def _names_are_distinct(self) -> "QueueSpec":
        names = [criterion.criterion for criterion in self.rubric]
        if len(set(names)) < len(names) or len(set(self.tags)) < len(self.tags):
            raise ValueError("two criteria, or two tags, have the same name: give each its own")
        return self


@dataclass(frozen=True)
class Counts:
    """How far a queue is."""

    examples: int = 0
    tasks: int = 0
    reviewed: int = 0
    accepted: int = 0
    declined: int = 0
    edited: int = 0
    leased: int = 0


@dataclass(frozen=True)
class Queue:
    """A queue as its row says it."""

    name: str
    uid: str
    project: str
    principal: str
    spec: QueueSpec
    state: str
    examples: int
    tasks: int
    failed_closes: int
    accepted: str
    declined: str
    unreviewed: str
    reviews: str
    create_time: datetime
    close_time: datetime | None

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> "Queue":
        """Reads a row of the table."""
        fields = {name: row[name] for name in cls.__dataclass_fields__}
        return cls(**{**fields, "spec": QueueSpec.model_validate(row["spec"])})
