"""Percentile bootstrap: how far a metric, or a gain, would vary on other rows and with other training seeds.

Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapters 13 and 16. Two models are always compared on
the same resampled rows (Koehn, 2004, "Statistical Significance Tests for Machine Translation Evaluation").
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cultivar_statistics.metrics import METRICS, Codes, Labels, Metric, Values, encode

DRAWS: Final = 10_000
_CHUNK_CELLS: Final = 1 << 21


@dataclass(frozen=True, slots=True)
class Estimate:
    """Holds a value and its confidence interval of `level`, from 0 to 1."""

    value: float
    low: float
    high: float
    level: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Holds the gain of the second model over the first, its interval, and the two-sided p-value of no gain."""

    gain: float
    low: float
    high: float
    level: float
    p_value: float


def bootstrap(
    metric: str, truth: Labels, predicted: Labels, *, draws: int = DRAWS, seed: int = 0, level: float = 0.95
) -> Estimate:
    """Estimates a metric of `METRICS` with its interval over other samples of rows; the same seed gives the same."""
    labels, (rows, columns) = encode(truth, predicted)
    measure = _measure(metric, draws, level)
    generator = np.random.default_rng(seed)
    values = [measure(rows[sample], columns[sample], len(labels)) for sample in samples_of(generator, len(rows), draws)]
    value = float(measure(rows[None], columns[None], len(labels))[0])
    return Estimate(value, *interval_of(np.concatenate(values), level), level)


def paired_bootstrap(
    metric: str,
    truth: Labels,
    first: Labels,
    second: Labels,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Compares two models on the same rows: the gain of the second, with its interval over other samples of rows."""
    return seeds_bootstrap(metric, truth, [first], [second], draws=draws, seed=seed, level=level)


def seeds_bootstrap(
    metric: str,
    truth: Labels,
    first: Sequence[Labels],
    second: Sequence[Labels],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Compares two ways of training, each run with several seeds, on the same rows, by their predicted labels.

    `first[i]` and `second[i]` are the predictions of the two runs with seed i; a side of one run (a model that was not
    trained) stands beside every run of the other. `compare_gains` says how rows and seeds are resampled. Raises
    ValueError where the numbers of runs do not fit.
    """
    if not first or not second or (len(first) != len(second) and 1 not in (len(first), len(second))):
        raise ValueError("Both sides need the same number of training seeds, or one of them a single run.")
    labels, (rows, *columns) = encode(truth, *first, *second)
    measure = _measure(metric, draws, level)

    def gains(sample: Codes) -> Values:
        """Gives the gain of each pair of runs, shape (samples, seeds)."""
        values = [measure(rows[sample], column[sample], len(labels)) for column in columns]
        return np.stack(values[len(first) :], axis=1) - np.stack(values[: len(first)], axis=1)

    return compare_gains(gains, len(rows), max(len(first), len(second)), draws=draws, seed=seed, level=level)


def compare_gains(
    gains: Callable[[Codes], Values], rows: int, seeds: int, *, draws: int = DRAWS, seed: int = 0, level: float = 0.95
) -> Comparison:
    """Estimates a mean gain and its interval; `gains` gives that of each training seed on samples of rows.

    `gains` takes places of rows, shape (samples, rows), and gives shape (samples, seeds). The gain is the mean over
    seeds. Rows and seeds are both resampled, each on its own and the rows the same for all runs (Owen, 2007, "The
    pigeonhole bootstrap"); of k seeds k - 1 are drawn, without which the interval of a few seeds is too narrow
    (McCarthy and Snowden, 1985, "The Bootstrap and Finite Population Sampling"). One seed says nothing of other seeds:
    its interval is over rows only. The p-value is the share of draws, with the gain taken off, at least as far from
    zero as the gain.
    """
    for_rows, for_seeds = np.random.default_rng(seed).spawn(2)
    drawn = [_mean_of_drawn(for_seeds, gains(sample), seeds) for sample in samples_of(for_rows, rows, draws)]
    means = np.concatenate(drawn)
    gain = float(gains(np.arange(rows)[None]).mean())
    p_value = float((1 + (np.abs(means - gain) >= abs(gain)).sum()) / (1 + draws))
    return Comparison(gain, *interval_of(means, level), level, p_value)


def _mean_of_drawn(generator: np.random.Generator, gains: Values, seeds: int) -> Values:
    picks = generator.integers(0, seeds, (len(gains), max(seeds - 1, 1)))
    return np.asarray(np.take_along_axis(gains, picks, axis=1).mean(axis=1))


def samples_of(generator: np.random.Generator, rows: int, draws: int) -> Iterator[Codes]:
    """Draws rows with replacement, shape (draws, rows), in chunks that bound the memory."""
    chunk = max(1, _CHUNK_CELLS // rows)
    for start in range(0, draws, chunk):
        yield generator.integers(0, rows, (min(chunk, draws - start), rows))


def interval_of(values: Values, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _measure(metric: str, draws: int, level: float) -> Metric:
    if metric not in METRICS:
        raise ValueError(f"There is no metric '{metric}'; choose one of {', '.join(METRICS)}.")
    if draws < 1 or not 0 < level < 1:
        raise ValueError("A bootstrap needs at least one draw and a level between 0 and 1.")
    return METRICS[metric]
