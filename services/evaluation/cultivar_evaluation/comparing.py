"""Two ways of making a model on the same rows: the gain, its interval, and what these rows could have shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean
from typing import Any

from cultivar_statistics import Comparison, discordance, minimum_detectable_gain, paired_bootstrap, seeds_bootstrap

from cultivar_evaluation.errors import RowsDiffer
from cultivar_evaluation.metrics import METRICS

Predictions = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Compared:
    """A comparison and what stands beside it."""

    comparison: Comparison
    first: float
    second: float
    rows: int
    covers_seeds: bool
    minimum_detectable_gain: float


def compare(metric: str, first: Sequence[Predictions], second: Sequence[Predictions], random_seed: int) -> Compared:
    """Compares runs of several training seeds each; raises RowsDiffer unless all scored the same rows.

    With two seeds or more on both sides, rows and seeds are resampled (hierarchical bootstrap); else rows alone, and
    the interval does not speak of other training seeds.
    """
    every = [*first, *second]
    ids = [row["id"] for row in every[0]]
    if any([row["id"] for row in rows] != ids for rows in every):
        raise RowsDiffer
    truth = [row["truth"] for row in every[0]]
    before, after = ([[row["predicted"] for row in rows] for rows in way] for way in (first, second))
    covers = len(before) > 1 and len(after) > 1
    if covers or len(before) + len(after) > 2:
        comparison = seeds_bootstrap(metric, truth, before, after, seed=random_seed)
    else:
        comparison = paired_bootstrap(metric, truth, before[0], after[0], seed=random_seed)
    differing = fmean(discordance(truth, one, other) for one, other in product(before, after))
    measure = METRICS[metric].measure
    return Compared(
        comparison=comparison,
        first=fmean(measure(truth, predicted) for predicted in before),
        second=fmean(measure(truth, predicted) for predicted in after),
        rows=len(truth),
        covers_seeds=covers,
        minimum_detectable_gain=(minimum_detectable_gain(len(truth), differing) or 0.0) if differing else 0.0,
    )
