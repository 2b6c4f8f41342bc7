"""Perplexity: how surprised a model is by given texts, and how sure one may be of a difference.

Perplexity is the exponential of the mean negative log-likelihood of a token (Jelinek et al., 1977); 1 is certainty, and
less is better. A row counts by its tokens, so that cutting a text in two changes nothing.
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from cultivar_statistics.metrics import Codes, Values
from cultivar_statistics.resampling import DRAWS, Comparison, Estimate, compare_gains, interval_of, samples_of

Logprobs = Sequence[float]
Tokens = Sequence[int]


def perplexity(logprobs: Logprobs, tokens: Tokens) -> float:
    """Computes the perplexity of rows: each has the sum of its tokens' natural log-probabilities, and their number.

    Raises ValueError where there are no tokens.
    """
    _check(logprobs, tokens)
    return float(np.exp(-np.sum(logprobs) / np.sum(tokens)))


def perplexity_bootstrap(
    logprobs: Logprobs, tokens: Tokens, *, draws: int = DRAWS, seed: int = 0, level: float = 0.95
) -> Estimate:
    """Estimates a perplexity with its interval over other samples of rows; the same seed gives the same."""
    value = perplexity(logprobs, tokens)
    column, sizes, generator = np.asarray(logprobs), np.asarray(tokens), np.random.default_rng(seed)
    values = [_perplexities(column, sizes, sample) for sample in samples_of(generator, len(tokens), draws)]
    return Estimate(value, *interval_of(np.concatenate(values), level), level)


def perplexity_gain(
    tokens: Tokens,
    first: Sequence[Logprobs],
    second: Sequence[Logprobs],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Compares two ways of training by how much the perplexity of the same rows falls: above 0 the second is better.

    `first[i]` and `second[i]` are the log-probabilities of the rows under the two runs with seed i; a side of one run
    stands beside every run of the other. Rows and seeds are resampled as `compare_gains` says. Raises ValueError where
    the numbers of runs or of rows do not fit.
    """
    if not first or not second or (len(first) != len(second) and 1 not in (len(first), len(second))):
        raise ValueError("Both sides need the same number of training seeds, or one of them a single run.")
    for run in (*first, *second):
        _check(run, tokens)
    sizes, before, after = np.asarray(tokens), [np.asarray(run) for run in first], [np.asarray(run) for run in second]

    def gains(sample: Codes) -> Values:
        """Gives the fall of each pair of runs, shape (samples, seeds)."""
        fell = [np.stack([_perplexities(run, sizes, sample) for run in runs], axis=1) for runs in (before, after)]
        return np.asarray(fell[0] - fell[1])

    return compare_gains(gains, len(tokens), max(len(first), len(second)), draws=draws, seed=seed, level=level)


def detectable_gain(comparison: Comparison, power: float = 0.8) -> float:
    """Computes the least gain that a comparison like this one would show with the given power.

    The interval's half width is z(1-α/2) standard errors; a gain is seen with power 1 - β from z(1-α/2) + z(1-β) of
    them on, where the gain is near to normally distributed: Cohen (1988), "Statistical Power Analysis", chapter 2.
    """
    z_level, z_power = NormalDist().inv_cdf((1 + comparison.level) / 2), NormalDist().inv_cdf(power)
    return (comparison.high - comparison.low) / (2 * z_level) * (z_level + z_power)


def _perplexities(logprobs: Values, tokens: Codes, sample: Codes) -> Values:
    return np.asarray(np.exp(-logprobs[sample].sum(axis=1) / tokens[sample].sum(axis=1)))


def _check(logprobs: Logprobs, tokens: Tokens) -> None:
    if len(logprobs) != len(tokens):
        raise ValueError(f"There are {len(logprobs)} log-probabilities and {len(tokens)} numbers of tokens.")
    if not len(tokens) or min(tokens) < 1:
        raise ValueError("Every row needs at least one token, and there must be a row.")
