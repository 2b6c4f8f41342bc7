"""What a metric is."""

from collections.abc import Sequence
from typing import Protocol


class Metric(Protocol):
    """Measures predicted labels against true ones."""

    @property
    def description(self) -> str:
        """What it measures, in a sentence."""
        ...

    def measure(self, truth: Sequence[str], predicted: Sequence[str]) -> float:
        """Returns the value, 0 to 1; both sequences are of one length, 1 or more."""
        ...
