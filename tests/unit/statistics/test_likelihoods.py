"""Perplexity and its intervals are what they claim to be."""

import math

import numpy as np
import pytest
from cultivar_statistics import Comparison, detectable_gain, perplexity, perplexity_bootstrap, perplexity_gain


def rows(seed: int, mean: float, count: int = 200) -> tuple[list[float], list[int]]:
    """Draws rows of 5 to 40 tokens whose mean surprise is near a number of nats a token."""
    generator = np.random.default_rng(seed)
    tokens = generator.integers(5, 41, count)
    surprise = mean + generator.normal(0, 0.5, count)
    return (-surprise * tokens).tolist(), tokens.tolist()


def test_a_model_that_guesses_among_equals_has_their_number_as_perplexity() -> None:
    assert perplexity([3 * math.log(1 / 8), 5 * math.log(1 / 8)], [3, 5]) == pytest.approx(8)
    assert perplexity([0.0], [4]) == 1


def test_cutting_a_row_in_two_changes_nothing() -> None:
    assert perplexity([-6.0, -2.0], [4, 1]) == pytest.approx(perplexity([-5.0, -1.0, -2.0], [3, 1, 1]))


def test_the_interval_covers_the_perplexity_of_all_rows_about_as_often_as_it_says() -> None:
    everything = perplexity(*rows(0, 2.0, 20_000))
    found = [perplexity_bootstrap(*rows(seed, 2.0), draws=400) for seed in range(1, 101)]
    assert 88 <= sum(each.low <= everything <= each.high for each in found) <= 100


def test_a_fall_of_every_row_is_a_gain_and_its_reverse_a_loss() -> None:
    logprobs, tokens = rows(1, 2.0)
    better = [each + 0.1 * size for each, size in zip(logprobs, tokens, strict=True)]
    found = perplexity_gain(tokens, [logprobs], [better], draws=500)
    assert found.gain == pytest.approx(perplexity(logprobs, tokens) - perplexity(better, tokens))
    assert 0 < found.low < found.gain < found.high
    lost = perplexity_gain(tokens, [better], [logprobs], draws=500)
    assert lost.gain == pytest.approx(-found.gain)
    assert lost.high < 0


def test_seeds_that_disagree_widen_the_interval() -> None:
    logprobs, tokens = rows(1, 2.0)
    shifted = [[each + shift * size for each, size in zip(logprobs, tokens, strict=True)] for shift in (0.3, 0.0, -0.3)]
    one = perplexity_gain(tokens, [logprobs], [shifted[1]], draws=500)
    three = perplexity_gain(tokens, [logprobs], shifted, draws=500)
    assert (one.low, one.high) == (0, 0)
    assert three.low < 0 < three.high


def test_the_least_gain_that_shows_is_that_of_the_normal_distribution() -> None:
    found = detectable_gain(Comparison(gain=0.0, low=-1.96, high=1.96, level=0.95, p_value=1.0))
    assert found == pytest.approx(1.96 + 0.8416, abs=1e-3)


@pytest.mark.parametrize(("logprobs", "tokens"), [([], []), ([-1.0], [0]), ([-1.0], [1, 2])])
def test_rows_without_tokens_are_refused(logprobs: list[float], tokens: list[int]) -> None:
    with pytest.raises(ValueError, match="token"):
        perplexity(logprobs, tokens)
