"""Tasks, and the one place that says how an example of a task is put before a model.

Training and scoring both build their text here, so what a model is scored on is what it was trained on.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from cultivar_records.examples import Example, Message, Span


class TaskKind(StrEnum):
    """Names what a model is to learn."""

    CLASSIFICATION = "classification"
    ENTITIES = "entities"
    CODE = "code"
    INSTRUCTION = "instruction"


class TaskSpec(BaseModel):
    """Says what a task asks for and which words stand before its input and its output."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: TaskKind
    instruction: str
    labels: tuple[str, ...] = ()
    input_name: str = Field(default="Message", min_length=1)
    output_name: str = Field(default="Intent", min_length=1)

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> "TaskSpec":
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("The labels of a task must be distinct; remove the repeated ones.")
        return self


NO_ENTITIES = "none"
"""What the answer of an entities example says when the text holds no entity."""


def prompt_text(spec: TaskSpec, example: "Example", shots: "Sequence[Example]" = ()) -> str:
    """Builds the plain-completion prompt of an example: instruction, shots, and the input up to the output's name.

    A classification input is put on one line, so a text with line breaks cannot pass for a shot. The prompt ends
    without a space: `answer_text` begins with one, and together they are what a model is trained on.
    """
    parts = [spec.instruction] if spec.instruction else []
    parts += [_conversation(spec, shot) + answer_text(shot) for shot in shots]
    parts.append(_conversation(spec, example))
    return "\n\n".join(parts)


def answer_text(example: "Example") -> str:
    """Builds the continuation that follows `prompt_text`, beginning with one space.

    For classification it is the label, for entities `surface = label` pairs joined by `; ` in text order, otherwise
    the content of the last message.
    """
    if example.task is TaskKind.ENTITIES:
        return f" {entities_answer(example.text, example.spans)}"
    return f" {example.answer}"


def entities_answer(text: str, spans: "Iterable[Span]") -> str:
    """Writes entities as a model is to write them: `surface = label`, joined by `; ` in text order, or `none`."""
    ordered = sorted(spans, key=lambda span: (span.start, span.end))
    return "; ".join(f"{text[span.start : span.end]} = {span.label}" for span in ordered) or NO_ENTITIES


def _conversation(spec: TaskSpec, example: "Example") -> str:
    turns = [_turn(spec, message) for message in example.prompt]
    return "\n".join([*turns, f"{spec.output_name}:"])


def _turn(spec: TaskSpec, message: "Message") -> str:
    one_line = spec.kind is TaskKind.CLASSIFICATION
    content = " ".join(message.content.split()) if one_line else message.content
    if message.role == "system":
        return content
    name = spec.input_name if message.role == "user" else spec.output_name
    return f"{name}: {content}"
