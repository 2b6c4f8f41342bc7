"""The laws of a plan: every row once an epoch, no token over the budget, the same plan every time."""

from collections import Counter

import pytest
from cultivar_training.program.errors import Refused
from cultivar_training.program.steps import Step, plan_digest, plan_steps
from hypothesis import given
from hypothesis import strategies as st

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40)
SHAPES = st.fixed_dictionaries(
    {
        "epochs": st.integers(1, 4),
        "batch_size": st.integers(1, 9),
        "workers": st.integers(1, 4),
        "seed": st.integers(-(2**40), 2**40),
    }
)


def rows_of(steps: tuple[Step, ...]) -> list[int]:
    """All rows of a plan, step by step."""
    return [row for step in steps for share in step.shares for row in share]


@given(LENGTHS, SHAPES)
def test_every_row_is_trained_on_once_in_each_epoch(lengths: list[int], shape: dict[str, int]) -> None:
    steps = plan_steps(lengths, **shape)
    assert Counter(rows_of(steps)) == dict.fromkeys(range(len(lengths)), shape["epochs"])
    assert sum(step.ends_epoch for step in steps) <= shape["epochs"]
    assert steps[-1].ends_epoch


@given(LENGTHS, SHAPES)
def test_all_steps_but_the_last_are_full_and_workers_have_almost_equal_work(
    lengths: list[int], shape: dict[str, int]
) -> None:
    steps = plan_steps(lengths, **shape)
    sizes = [sum(map(len, step.shares)) for step in steps]
    assert set(sizes[:-1]) <= {shape["batch_size"]}
    for step in steps:
        loads = [sum(lengths[row] for row in share) for share in step.shares]
        assert max(loads) - min(loads) <= max(lengths)
        assert step.tokens == sum(loads)


@given(LENGTHS, SHAPES, st.integers(1, 4000))
def test_a_budget_is_never_passed_and_ends_the_plan_where_the_next_row_would_pass_it(
    lengths: list[int], shape: dict[str, int], budget: int
) -> None:
    whole = plan_steps(lengths, **shape)
    fed = sum(step.tokens for step in whole)
    try:
        steps = plan_steps(lengths, **shape, budget=budget)
    except Refused:
        assert budget < max(lengths)
        return
    used = sum(step.tokens for step in steps)
    assert used <= budget
    assert used == fed if fed <= budget else used + max(lengths) > budget
    assert [step.shares for step in steps[:-1]] == [step.shares for step in whole[: len(steps) - 1]]


@given(LENGTHS, SHAPES)
def test_the_same_settings_give_the_same_plan_and_another_seed_another_order(
    lengths: list[int], shape: dict[str, int]
) -> None:
    assert plan_digest(plan_steps(lengths, **shape)) == plan_digest(plan_steps(lengths, **shape))


def test_another_seed_gives_another_order() -> None:
    plans = {plan_digest(plan_steps([5] * 30, epochs=1, batch_size=4, workers=2, seed=seed)) for seed in range(5)}
    assert len(plans) == 5


def test_epochs_are_shuffled_anew() -> None:
    steps = plan_steps([5] * 30, epochs=2, batch_size=3, workers=1, seed=1)
    assert [step.shares for step in steps[:10]] != [step.shares for step in steps[10:]]


def test_more_workers_than_rows_leaves_some_without_any() -> None:
    (step,) = plan_steps([5], epochs=1, batch_size=8, workers=3, seed=0)
    assert step.shares == ((0,), (), ())


def test_a_budget_below_one_row_is_refused_in_words() -> None:
    with pytest.raises(Refused, match="max_trained_tokens is 4"):
        plan_steps([5, 9], epochs=1, batch_size=8, workers=1, seed=0, budget=4)


def test_a_plan_too_long_to_be_held_is_refused_unless_a_budget_ends_it() -> None:
    with pytest.raises(Refused, match="fewer epochs"):
        plan_steps([5] * 30_000, epochs=1000, batch_size=8, workers=1, seed=0)
    assert len(plan_steps([5] * 30_000, epochs=1000, batch_size=8, workers=1, seed=0, budget=80)) == 2
