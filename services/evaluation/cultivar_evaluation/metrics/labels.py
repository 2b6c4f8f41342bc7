"""What the metrics of predicted labels share: they resample rows, and count which of two models is right."""

from collections.abc import Callable, Sequence
from itertools import product
from statistics import fmean

from cultivar_records import TaskKind
from cultivar_statistics import (
    Estimate,
    bootstrap,
    discordance,
    minimum_detectable_gain,
    paired_bootstrap,
    seeds_bootstrap,
)

from cultivar_evaluation.metrics.protocol import Compared, Predictions, covers_seeds

Labels = Sequence[str]


class OfLabels:
    """Measures predicted labels by a metric of `cultivar_statistics.METRICS`, so that none is told without interval."""

    tasks = (TaskKind.CLASSIFICATION,)

    def __init__(self, name: str, measure: Callable[[Labels, Labels], float], description: str) -> None:
        self._name = name
        self._measure = measure
        self.description = description

    def estimate(self, rows: Predictions, random_seed: int) -> Estimate:
        """Returns the value, 0 to 1, with its interval."""
        return bootstrap(self._name, truth_of(rows), predicted_of(rows), seed=random_seed)

    def compare(self, first: Sequence[Predictions], second: Sequence[Predictions], random_seed: int) -> Compared:
        """Compares by the gain of `second`, with the least gain in accuracy that these rows could have shown."""
        truth = truth_of(first[0])
        before, after = ([predicted_of(rows) for rows in way] for way in (first, second))
        if len(before) + len(after) > 2:
            comparison = seeds_bootstrap(self._name, truth, before, after, seed=random_seed)
        else:
            comparison = paired_bootstrap(self._name, truth, before[0], after[0], seed=random_seed)
        differing = fmean(discordance(truth, one, other) for one, other in product(before, after))
        return Compared(
            comparison=comparison,
            first=fmean(self._measure(truth, each) for each in before),
            second=fmean(self._measure(truth, each) for each in after),
            rows=len(truth),
            covers_seeds=covers_seeds(first, second),
            minimum_detectable_gain=(minimum_detectable_gain(len(truth), differing) or 0.0) if differing else 0.0,
        )


def truth_of(rows: Predictions) -> list[str]:
    """Returns the true labels."""
    return [row["truth"] for row in rows]


def predicted_of(rows: Predictions) -> list[str]:
    """Returns the predicted labels."""
    return [row["predicted"] for row in rows]
