"""What a filter is given and what it gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cultivar_records import Example, TaskKind, TaskSpec
from pydantic import BaseModel, ConfigDict

from cultivar_filtering.filters.vectors import Vectors


class FilterConfig(BaseModel):
    """Parameters of a filter; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @property
    def embeds(self) -> str:
        """The model whose vectors the judge finds in `Given.vectors`; empty for a judge that needs none."""
        return ""


@dataclass(frozen=True)
class Given:
    """What a run hands its filters: the task, the seeds and the held-out examples, both by id.

    vectors: those that a Config asks for, of the wordings of the seeds while judges are made, of the examples of a
    range when they are judged, and of kept ones when they are remembered anew.
    """

    task: TaskSpec
    seeds: Sequence[Example] = ()
    held_out: Sequence[Example] = ()
    vectors: Vectors = field(default_factory=Vectors)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a judge says of one example; a reject has a reason."""

    keep: bool
    reason: str = ""
    score: float | None = None


def keep(score: float | None = None) -> Opinion:
    """Returns an opinion that keeps."""
    return Opinion(True, "", score)


def reject(reason: str, score: float | None = None) -> Opinion:
    """Returns an opinion that rejects."""
    return Opinion(False, reason, score)


class Judge(Protocol):
    """Judges the examples of one run, in the order of their ids.

    What it says may depend on the examples that were kept before, and on nothing else that a kill could lose: a run
    that goes on elsewhere calls `remember` for each of them again, in order, and then `begin` for the next block.
    Blocks begin at the same examples whenever the run is interrupted.
    """

    def begin(self, block: Sequence[Example]) -> None:
        """Reads the examples that come next, so that work can be done for many at once."""
        ...

    def judge(self, example: Example) -> Opinion:
        """Judges one example of the block; what it raises fails that example alone."""
        ...

    def remember(self, example: Example) -> None:
        """Learns that every filter kept an example."""
        ...


class Rule:
    """A judge that looks at one example at a time and remembers nothing."""

    def __init__(self, rule: Callable[[Example], Opinion]) -> None:
        self.judge = rule

    def begin(self, block: Sequence[Example]) -> None:
        """Does nothing."""

    def remember(self, example: Example) -> None:
        """Does nothing."""


class Filter(Protocol):
    """A program that keeps or rejects an example."""

    @property
    def description(self) -> str:
        """What it rejects, in a sentence."""
        ...

    @property
    def reasons(self) -> Mapping[str, str]:
        """Every reason that it gives, in snake_case, each with what it means."""
        ...

    @property
    def Config(self) -> type[FilterConfig]:
        """Its parameters."""
        ...

    def judge(self, config: Any, given: Given) -> Judge:
        """Returns a judge for one run."""
        ...


def wording(example: Example) -> str:
    """Returns the text by which examples are compared: all turns before the answer but the system's, one on a line."""
    return "\n".join(message.content for message in example.prompt if message.role != "system")


def prose(example: Example) -> list[str]:
    """Returns the texts of an example that should read like writing: the wording, and the answer to an instruction."""
    answered = example.task is TaskKind.INSTRUCTION and example.answer.strip()
    return [wording(example), example.answer] if answered else [wording(example)]
