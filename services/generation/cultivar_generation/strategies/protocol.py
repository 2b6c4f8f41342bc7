"""What a strategy is given and what it gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from cultivar_records import Example, TaskSpec
from pydantic import BaseModel, ConfigDict


class StrategyConfig(BaseModel):
    """Parameters of a strategy; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Plan:
    """One call that a strategy plans: the seeds in its prompt, what the template may name, where the answer ends."""

    seeds: tuple[Example, ...]
    variables: Mapping[str, Any]
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """A candidate as it was read from an answer; `answer` is the label of a classification example."""

    text: str
    answer: str


@dataclass(frozen=True)
class Drafts:
    """What an answer holds: drafts, and the pieces that no draft could be read from, each with its reason."""

    good: list[Draft] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)


class Strategy(Protocol):
    """A program that makes candidates out of seeds."""

    @property
    def description(self) -> str:
        """What it does, in a sentence."""
        ...

    @property
    def default_prompt(self) -> str:
        """The prompt that it uses when a run names none."""
        ...

    @property
    def Config(self) -> type[StrategyConfig]:
        """Its parameters."""
        ...

    def per_call(self, config: Any) -> int:
        """Returns how many candidates one call is asked for."""
        ...

    def plan(self, number: int, seeds: Sequence[Example], task: TaskSpec, config: Any, random: Random) -> Plan:
        """Plans the call of a number, counted from 0; the same number and generator give the same plan."""
        ...

    def read(self, answer: str, plan: Plan, task: TaskSpec, config: Any, cut: bool) -> Drafts:
        """Reads the drafts of an answer; `cut` says that it was ended by its length, so its end is half a thought."""
        ...
