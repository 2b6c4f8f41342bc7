"""Closed answers agree with independent ones."""

import numpy as np
import pytest
from cultivar_statistics import difference, discordance, mcnemar, minimum_detectable_gain, rows_to_detect, wilson
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest


@settings(deadline=None)
@given(trials=st.integers(1, 500), share=st.floats(0, 1), level=st.sampled_from([0.8, 0.95, 0.99]))
def test_wilsons_interval_is_that_of_scipy(trials: int, share: float, level: float) -> None:
    successes = round(trials * share)
    expected = binomtest(successes, trials).proportion_ci(level, method="wilson")
    found = wilson(successes, trials, level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(("successes", "trials", "level"), [(1, 0, 0.95), (-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0)])
def test_an_interval_of_nothing_is_refused(successes: int, trials: int, level: float) -> None:
    with pytest.raises(ValueError, match="trial"):
        wilson(successes, trials, level)


def models(both: int, first_only: int, second_only: int, neither: int) -> tuple[list[int], list[int], list[int]]:
    """Makes truth and the predictions of two models with the given counts of right rows."""
    first = [1] * both + [1] * first_only + [0] * second_only + [0] * neither
    second = [1] * both + [0] * first_only + [1] * second_only + [2] * neither
    return [1] * len(first), first, second


@settings(deadline=None)
@given(first_only=st.integers(0, 60), second_only=st.integers(0, 60), both=st.integers(0, 5), neither=st.integers(1, 5))
def test_mcnemars_test_is_the_exact_binomial_test(first_only: int, second_only: int, both: int, neither: int) -> None:
    found = mcnemar(*models(both, first_only, second_only, neither))
    trials = first_only + second_only
    expected = binomtest(first_only, trials).pvalue if trials else 1.0
    assert (found.first_only, found.second_only) == (first_only, second_only)
    assert found.p_value == pytest.approx(expected)
    share = discordance(*models(both, first_only, second_only, neither))
    assert share == pytest.approx(trials / (trials + both + neither))


def test_mcnemars_test_stands_thousands_of_rows() -> None:
    found = mcnemar(*models(0, 3000, 3200, 0))
    assert found.p_value == pytest.approx(binomtest(3000, 6200).pvalue)


@settings(deadline=None)
@given(rows=st.integers(20, 100_000), share=st.floats(0.02, 1), power=st.floats(0.5, 0.99))
def test_the_gain_and_the_rows_are_inverse_to_each_other(rows: int, share: float, power: float) -> None:
    gain = minimum_detectable_gain(rows, share, power=power)
    if gain is None:
        assert rows <= rows_to_detect(share, share, power=power)
    else:
        assert abs(rows_to_detect(gain, share, power=power) - rows) <= 1


def test_a_gain_at_the_limit_is_found_as_often_as_the_power_says() -> None:
    rows, share = 2000, 0.2
    gain = minimum_detectable_gain(rows, share, power=0.8)
    assert gain is not None
    chances = [(share + gain) / 2, (share - gain) / 2, 1 - share]
    wins, losses, _ = np.random.default_rng(0).multinomial(rows, chances, 20_000).T
    found = np.abs(wins - losses) / np.sqrt(wins + losses) > 1.959964
    assert found.mean() == pytest.approx(0.8, abs=0.015)


def test_more_rows_and_less_discordance_show_smaller_gains() -> None:
    gains = [minimum_detectable_gain(rows, share) or 1 for rows, share in ((100, 0.3), (400, 0.3), (400, 0.1))]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] == pytest.approx(2 * gains[1], rel=0.02)


def test_too_few_rows_show_no_gain_at_all() -> None:
    assert minimum_detectable_gain(1, 0.5) is None
    assert minimum_detectable_gain(30, 0.05) is None


@pytest.mark.parametrize(
    ("rows", "share", "alpha", "power"),
    [(0, 0.5, 0.05, 0.8), (9, 0.0, 0.05, 0.8), (9, 0.5, 0.0, 0.8), (9, 0.5, 0.05, 1)],
)
def test_a_comparison_without_meaning_is_refused(rows: int, share: float, alpha: float, power: float) -> None:
    with pytest.raises(ValueError, match=r"row|Alpha"):
        minimum_detectable_gain(rows, share, alpha=alpha, power=power)


@pytest.mark.parametrize("gain", [0.0, -0.1, 0.3])
def test_a_gain_over_the_discordance_is_refused(gain: float) -> None:
    with pytest.raises(ValueError, match="discordance"):
        rows_to_detect(gain, 0.2)


def test_the_interval_of_a_difference_is_that_of_newcombes_table() -> None:
    # Newcombe (1998), table II: (a) 56/70 - 48/80, (b) 9/10 - 3/10, (d) 5/56 - 0/29, (h) 10/10 - 0/10; method 10.
    for counts, low, high in (
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((10, 10, 0, 10), 0.6075, 1.0000),
    ):
        found = difference(*counts)
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)
        other = difference(*counts[2:], *counts[:2])
        assert (other.low, other.high) == pytest.approx((-found.high, -found.low))
