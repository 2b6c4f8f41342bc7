"""What every selector promises, and what balanced adds to it."""

from collections import Counter
from random import Random

import pytest
from cultivar_datasets.selectors import SELECTORS, Choice
from hypothesis import given
from hypothesis import strategies as st

CHOICES = st.lists(
    st.builds(
        Choice,
        id=st.integers(0, 10**6).map(lambda number: f"{number:032x}"),
        label=st.sampled_from(["refund", "delivery", "invoice", ""]),
        role=st.sampled_from(["real", "synthetic", "control"]),
        family=st.just("f"),
        reviewed=st.booleans(),
        score=st.none() | st.floats(-5, 5),
    ),
    max_size=40,
    unique_by=lambda choice: choice.id,
)


def chosen(name: str, choices: list[Choice], budget: int, seed: int = 1) -> list[str]:
    selector = SELECTORS[name]
    return selector.select(choices, budget, selector.Config(), Random(seed))


@pytest.mark.parametrize("name", sorted(SELECTORS))
@given(choices=CHOICES, budget=st.integers(0, 50), shuffle=st.randoms(use_true_random=False))
def test_a_selector_fills_its_budget_with_distinct_choices_whatever_their_order(
    name: str, choices: list[Choice], budget: int, shuffle: Random
) -> None:
    ids = chosen(name, choices, budget)
    assert len(ids) == len(set(ids)) == min(budget, len(choices))
    assert set(ids) <= {choice.id for choice in choices}
    shuffled = list(choices)
    shuffle.shuffle(shuffled)
    assert chosen(name, shuffled, budget) == ids


@given(choices=CHOICES, budget=st.integers(1, 50))
def test_balanced_takes_as_many_of_each_label_unless_one_runs_out(choices: list[Choice], budget: int) -> None:
    ids = set(chosen("balanced", choices, budget))
    taken = Counter(choice.label for choice in choices if choice.id in ids)
    offered = Counter(choice.label for choice in choices)
    unexhausted = [taken[label] for label in offered if taken[label] < offered[label]]
    if unexhausted:
        assert max(taken.values()) - min(unexhausted) <= 1


def test_balanced_prefers_people_then_accepted_ones_then_higher_scores() -> None:
    ranked = [
        Choice("4" * 32, "refund", "real", "f"),
        Choice("3" * 32, "refund", "synthetic", "f", reviewed=True, score=4.5),
        Choice("2" * 32, "refund", "synthetic", "f", reviewed=True, score=2.0),
        Choice("1" * 32, "refund", "synthetic", "f", reviewed=True),
        Choice("6" * 32, "refund", "synthetic", "f", score=0.9),
        Choice("5" * 32, "refund", "synthetic", "f", score=-0.1),
        Choice("0" * 32, "refund", "synthetic", "f"),
    ]
    for budget in range(len(ranked)):
        assert chosen("balanced", ranked[::-1], budget) == [choice.id for choice in ranked[:budget]]


def test_random_follows_from_the_seed_alone() -> None:
    choices = [Choice(f"{number:032x}", "", "real", "f") for number in range(100)]
    assert chosen("random", choices, 10, 1) == chosen("random", choices, 10, 1)
    assert chosen("random", choices, 10, 1) != chosen("random", choices, 10, 2)
