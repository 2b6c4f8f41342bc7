"""What a metric is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cultivar_records import TaskKind
from cultivar_statistics import Comparison, Estimate

Predictions = Sequence[dict[str, Any]]
"""The rows of one run, by id: `truth` and `predicted`, or `logprobs` and `tokens` of the true answer."""


@dataclass(frozen=True)
class Compared:
    """A comparison and what stands beside it."""

    comparison: Comparison
    first: float
    second: float
    rows: int
    covers_seeds: bool
    minimum_detectable_gain: float


class Metric(Protocol):
    """Measures the predictions of a run, and compares two ways of making a model on the same rows."""

    @property
    def description(self) -> str:
        """What it measures, in a sentence."""
        ...

    @property
    def tasks(self) -> Sequence[TaskKind]:
        """The kinds of task that it measures."""
        ...

    def estimate(self, rows: Predictions, random_seed: int) -> Estimate:
        """Returns the value with its interval over other samples of rows; there is one row or more."""
        ...

    def compare(self, first: Sequence[Predictions], second: Sequence[Predictions], random_seed: int) -> Compared:
        """Compares runs of several training seeds each, over the same rows; a gain above 0 is one of `second`.

        With two seeds or more on both sides the interval speaks of other seeds too, else of other rows alone.
        """
        ...


def covers_seeds(first: Sequence[Predictions], second: Sequence[Predictions]) -> bool:
    """Tells whether an interval over two ways speaks of other training seeds too."""
    return len(first) > 1 and len(second) > 1
