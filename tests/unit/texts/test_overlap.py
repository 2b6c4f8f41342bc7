"""Overlap measures agree with their definitions."""

from itertools import combinations

import pytest
from cultivar_texts import (
    containment,
    echo_share,
    jaccard,
    longest_common_run,
    longest_common_subsequence,
    ngram_overlap,
    rouge_l,
    words,
)
from hypothesis import given, settings
from hypothesis import strategies as st

TOKENS = st.lists(st.sampled_from("abc"), max_size=9)
TEXT = TOKENS.map(" ".join)


def is_subsequence(part: tuple[str, ...], whole: list[str]) -> bool:
    """Says whether the items of part come in whole in their order."""
    rest = iter(whole)
    return all(item in rest for item in part)


@settings(deadline=None)
@given(first=TOKENS, second=TOKENS)
def test_the_longest_common_subsequence_is_that_of_trying_all(first: list[str], second: list[str]) -> None:
    lengths = range(len(first), -1, -1)
    best = next(size for size in lengths if any(is_subsequence(part, second) for part in combinations(first, size)))
    assert longest_common_subsequence(first, second) == best


@settings(deadline=None)
@given(first=TOKENS, second=TOKENS)
def test_the_longest_common_run_is_that_of_trying_all(first: list[str], second: list[str]) -> None:
    runs = {tuple(first[start:end]) for start in range(len(first) + 1) for end in range(start, len(first) + 1)}
    theirs = {tuple(second[start:end]) for start in range(len(second) + 1) for end in range(start, len(second) + 1)}
    assert longest_common_run(first, second) == max(map(len, runs & theirs))


@settings(deadline=None)
@given(first=TEXT, second=TEXT)
def test_the_measures_are_symmetric_and_bounded_and_one_for_itself(first: str, second: str) -> None:
    for measure in (rouge_l, lambda one, other: ngram_overlap(one, other, 2)):
        assert 0 <= measure(first, second) == measure(second, first) <= 1
        assert len(words(first)) < 2 or measure(first, first) == 1
    assert 0 <= containment(first, second, 2) <= 1
    assert 0 <= echo_share(first, second) <= 1


def test_rouge_l_of_lins_own_examples() -> None:
    reference = "police killed the gunman"
    assert rouge_l("police kill the gunman", reference) == 0.75
    assert rouge_l("the gunman kill police", reference) == 0.5
    assert rouge_l("the gunman police killed", reference) == 0.5


def test_rouge_l_weighs_precision_and_recall_alike() -> None:
    assert rouge_l("a b", "a b c d e f") == pytest.approx(2 * 1 * (2 / 6) / (1 + 2 / 6))
    assert rouge_l("", "a") == rouge_l("a", "?") == 0


def test_containment_looks_at_the_part_only() -> None:
    assert containment("b c d", "a b c d e f", 2) == 1
    assert containment("a b c d e f", "b c d", 2) == 0.4
    assert containment("a", "a b", 2) == 0
    assert ngram_overlap("a b c", "b c d", 2) == pytest.approx(1 / 3)


def test_an_echo_is_the_longest_copied_run_whatever_its_case() -> None:
    prompt = "Please, tell me where my new card is."
    assert echo_share(prompt, "WHERE my new card is!") == 1
    assert echo_share(prompt, "Your new card is on its way") == pytest.approx(3 / 7)
    assert echo_share(prompt, "...") == echo_share("", "hello") == 0


def test_sets_without_members_are_alike() -> None:
    assert jaccard(set(), set()) == 1
    assert jaccard({1}, set()) == 0
    assert jaccard({1, 2}, {2, 3}) == pytest.approx(1 / 3)


def test_long_texts_are_compared_in_good_time() -> None:
    first, second = [str(number % 97) for number in range(3000)], [str(number % 89) for number in range(3000)]
    assert longest_common_run(first, second) == 89
    assert longest_common_subsequence(first, first) == 3000
