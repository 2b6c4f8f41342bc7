"""Exact and closed answers for shares of right rows: Wilson's interval, McNemar's test, and what a test can see."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from cultivar_statistics.metrics import Labels, encode
from cultivar_statistics.resampling import Estimate


@dataclass(frozen=True, slots=True)
class McNemar:
    """Holds how many rows only the first model, and only the second, has right, and the exact two-sided p-value."""

    first_only: int
    second_only: int
    p_value: float


def wilson(successes: int, trials: int, level: float = 0.95) -> Estimate:
    """Estimates a share with Wilson's score interval, which holds its level near 0 and 1 and with few trials.

    Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference". Raises ValueError unless
    0 <= successes <= trials, trials > 0 and 0 < level < 1.
    """
    if not 0 <= successes <= trials or trials < 1 or not 0 < level < 1:
        raise ValueError("An interval needs at least one trial, successes among them, and a level between 0 and 1.")
    z, share = _quantile((1 + level) / 2), successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Estimate(share, low, high, level)


def difference(successes: int, trials: int, other_successes: int, other_trials: int, level: float = 0.95) -> Estimate:
    """Estimates how much larger one share is than another, of other rows, with the interval of Newcombe.

    Newcombe (1998), "Interval estimation for the difference between independent proportions", method 10: Wilson's
    intervals of both, put together. Raises ValueError as `wilson` does.
    """
    first, second = wilson(successes, trials, level), wilson(other_successes, other_trials, level)
    value = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value, value - below, value + above, level)


def mcnemar(truth: Labels, first: Labels, second: Labels) -> McNemar:
    """Tests whether two models are right equally often on the same rows, by the exact binomial test.

    McNemar (1947), "Note on the sampling error of the difference between correlated proportions or percentages". Only
    rows that just one of them has right count; without any the p-value is 1.
    """
    _, (rows, ours, theirs) = encode(truth, first, second)
    first_only = int(((ours == rows) & (theirs != rows)).sum())
    second_only = int(((ours != rows) & (theirs == rows)).sum())
    return McNemar(first_only, second_only, _binomial_test(min(first_only, second_only), first_only + second_only))


def discordance(truth: Labels, first: Labels, second: Labels) -> float:
    """Computes the share of rows that just one of two models has right."""
    found = mcnemar(truth, first, second)
    return (found.first_only + found.second_only) / len(truth)


def minimum_detectable_gain(rows: int, discordance: float, *, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """Computes the least gain in accuracy that a paired comparison on `rows` rows finds with the given power.

    With n rows, of which the share ψ is right for just one model, and a gain d, the two-sided test of level α has
    power 1 - β where n = (z(1-α/2) √ψ + z(1-β) √(ψ - d²))² / d²: Connett, Smith and McHugh (1987), "Sample size and
    power for pair-matched case-control studies", Statistics in Medicine 6. It is solved here for d. None where the
    gain would have to be over ψ, which it cannot be: the rows are too few to find any gain.
    """
    _check(rows, discordance, alpha, power)
    z_alpha, z_beta = _quantile(1 - alpha / 2), _quantile(power)
    under = rows + z_beta**2 - z_alpha**2
    if under < 0:
        return None
    gain = math.sqrt(discordance) * (z_alpha * math.sqrt(rows) + z_beta * math.sqrt(under)) / (rows + z_beta**2)
    return gain if gain <= discordance else None


def rows_to_detect(gain: float, discordance: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Computes how many rows a paired comparison needs to find a gain, by the formula of `minimum_detectable_gain`.

    Raises ValueError for a gain that is not above 0 and at most the discordance.
    """
    _check(1, discordance, alpha, power)
    if not 0 < gain <= discordance:
        raise ValueError("A gain must be above 0 and at most the discordance.")
    root = _quantile(1 - alpha / 2) * math.sqrt(discordance) + _quantile(power) * math.sqrt(discordance - gain**2)
    return math.ceil((root / gain) ** 2)


def _check(rows: int, discordance: float, alpha: float, power: float) -> None:
    if rows < 1 or not 0 < discordance <= 1:
        raise ValueError("A comparison needs at least one row and a discordance above 0 and at most 1.")
    if not 0 < alpha < 1 or not 0.5 <= power < 1:
        raise ValueError("Alpha must be between 0 and 1, and power from 0.5 to below 1.")


def _binomial_test(fewer: int, trials: int) -> float:
    """Computes the two-sided p-value of at most `fewer` heads, or as few tails, in `trials` throws of a fair coin."""
    term, tail = 1, 0
    for heads in range(fewer + 1):
        tail += term
        term = term * (trials - heads) // (heads + 1)
    return min(1.0, 2 * tail / (1 << trials))


def _quantile(share: float) -> float:
    return NormalDist().inv_cdf(share)
