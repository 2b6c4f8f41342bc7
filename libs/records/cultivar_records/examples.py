"""Examples: the rows that every stage reads and writes, with where each came from."""

import hashlib
import json
from statistics import fmean
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from cultivar_records.tasks import TaskKind


def _whole(text: str) -> str:
    """Refuses what no database or file of text can hold; models do write it, as escapes in JSON."""
    if "\0" in text:
        raise ValueError("A text must not hold a NUL character; remove it.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("A text must not hold half of a surrogate pair, which is no character.") from None
    return text


Text = Annotated[str, AfterValidator(_whole)]
Role = Literal["system", "user", "assistant"]
Origin = Literal["seed", "candidate", "replay"]
ExampleId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}\z")]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""A whole number that JSON of RFC 8785 holds exactly."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(_Record):
    """Holds one turn of a conversation."""

    role: Role
    content: Text


class Span(_Record):
    """Marks an entity: half-open character offsets into the example's `text`, and its label."""

    start: Count
    end: Count
    label: Annotated[Text, Field(min_length=1)]

    @model_validator(mode="after")
    def _is_not_empty(self) -> "Span":
        if self.end <= self.start:
            raise ValueError("A span must end after its start.")
        return self


class Score(_Record):
    """Holds what a reviewer gave for one criterion, 1 to 5."""

    criterion: Annotated[Text, Field(min_length=1)]
    score: Annotated[int, Field(ge=1, le=5)]


class Provenance(_Record):
    """Says where an example came from, and what made it.

    `family` is the id of the seed that the example descends from; `seeds` are the ids shown to the teacher;
    `prompt` is `name@version`; `call` is the id of the model call and `ordinal` the place in its answer; `source` is
    the SHA-256 of the file that a seed was read from and `line` its line there, from 1; `round` is the campaign's.
    `licences` are the notes of the teachers that the text is owed to, each once and sorted; `scores` are those of the
    review that accepted it.
    """

    origin: Origin
    family: Annotated[str, Field(min_length=1)]
    run: str = ""
    seeds: tuple[str, ...] = ()
    strategy: str = ""
    prompt: str = ""
    prompt_digest: str = ""
    teacher: str = ""
    model: str = ""
    call: str = ""
    ordinal: Count = 0
    source: str = ""
    line: Count = 0
    round: Count = 0
    edited_by: str = ""
    licences: tuple[Text, ...] = ()
    scores: tuple[Score, ...] = ()

    @property
    def mean_score(self) -> float | None:
        """Computes the mean of the scores, 1 to 5; None where nobody gave any."""
        return fmean(given.score for given in self.scores) if self.scores else None


class Example(_Record):
    """Holds one training row: a conversation, its task, what the task needs, and its provenance.

    The last message is the assistant's. A classification example's `label` equals that message; the spans of an
    entities example are offsets into `text`. `evidence` are the passages that the answer rests on; `rejected` is an
    answer to the same prompt that is worse than the last message, None where there is none. Raises pydantic's
    ValidationError for anything else.
    """

    id: ExampleId
    task: TaskKind
    messages: Annotated[tuple[Message, ...], Field(min_length=2)]
    label: Text | None = None
    spans: tuple[Span, ...] = ()
    tests: tuple[Text, ...] = ()
    evidence: tuple[Text, ...] = ()
    rejected: Text | None = None
    provenance: Provenance

    @model_validator(mode="after")
    def _fits_its_task(self) -> "Example":
        if self.messages[-1].role != "assistant":
            raise ValueError("The last message of an example must be the assistant's.")
        if all(message.role != "user" for message in self.messages):
            raise ValueError("An example must have a message of the user.")
        if self.task is TaskKind.CLASSIFICATION and (not self.label or self.label != self.messages[-1].content):
            raise ValueError("A classification example must have a label that equals its last message.")
        if self.spans and max(span.end for span in self.spans) > len(self.text):
            raise ValueError("A span ends after the end of the text.")
        if self.rejected is not None and self.rejected.strip() in ("", self.answer.strip()):
            raise ValueError("The rejected answer of an example must not be empty, and must differ from its answer.")
        return self

    @property
    def prompt(self) -> tuple[Message, ...]:
        """Gives the messages before the answer."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """Gives the content of the last message."""
        return self.messages[-1].content

    @property
    def text(self) -> str:
        """Gives the content of the last message of the user."""
        return next(message.content for message in reversed(self.messages) if message.role == "user")

    def digest(self) -> str:
        """Computes the SHA-256, in hex, of the example's JSON after RFC 8785.

        The scores of its review are no part of it, nor are licences where it has none: an example that is accepted as
        it is keeps its digest, and one that was made before there were licences has the same as then.
        """
        value = self.model_dump(mode="json")
        del value["provenance"]["scores"]
        if not self.provenance.licences:
            del value["provenance"]["licences"]
        return hashlib.sha256(canonical_json(value)).hexdigest()


def canonical_json(value: dict[str, object]) -> bytes:
    """Writes records as JSON after RFC 8785.

    Records hold text, whole numbers below 2**53, booleans and null under ASCII keys; for these the standard encoder
    with sorted keys is RFC 8785 to the byte. Floats, which it writes otherwise, do not occur in an example.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()


def example_id(run: str, input_id: str, ordinal: int) -> str:
    """Derives an example's id: 128 bits of SHA-256 over run, input id and ordinal, as 32 hex characters.

    The same three always give the same id, so a run that is resumed makes no row twice.
    """
    key = json.dumps([run, input_id, ordinal], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(key.encode()).hexdigest()[:32]
