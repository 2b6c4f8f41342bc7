"""What a selector is given and what it gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

Role = Literal["real", "synthetic", "control", "replay"]


class SelectorConfig(BaseModel):
    """Parameters of a selector; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Choice:
    """An example as a selector sees it: whose it is and what is known of its quality, without its text.

    `reviewed` says that a person accepted it; `score` is the mean of its scores, None where it has none; `licences` are
    those of the teachers that it is owed to.
    """

    id: str
    label: str
    role: Role
    family: str
    reviewed: bool = False
    score: float | None = None
    licences: tuple[str, ...] = ()


class Selector(Protocol):
    """A program that chooses examples."""

    @property
    def description(self) -> str:
        """What it does, in a sentence."""
        ...

    @property
    def Config(self) -> type[SelectorConfig]:
        """Its parameters."""
        ...

    def select(self, choices: Sequence[Choice], budget: int, config: Any, random: Random) -> list[str]:
        """Chooses the ids of at most `budget` examples, all distinct."""
        ...
