"""What is new is told by ROUGE-L with all seeds and all that was kept before, as Self-Instruct tells it."""

import time
from random import Random

import pytest
from cultivar_filtering.filters import Given
from cultivar_records import Example
from cultivar_texts import rouge_l
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.filtering.made import INSTRUCTION, judge, made, opinion

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h"]), min_size=0, max_size=9).map(" ".join)


def task(text: str, *, seed: bool = False) -> Example:
    """An instruction without an answer yet."""
    return made(text, "", task=INSTRUCTION, origin="seed" if seed else "candidate")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Name five fruits that are red.", "like_seed"),
        ("Please name five fruits that are red.", "like_seed"),
        ("Write a poem about a red fruit.", ""),
        ("", ""),
    ],
)
def test_a_text_is_new_below_seven_tenths(text: str, reason: str) -> None:
    pool = Given(INSTRUCTION, seeds=[task("Name five fruits that are green.", seed=True)])
    said = opinion("novelty", task(text), pool)
    assert said.reason == reason
    assert said.keep or (said.score or 0) >= 0.7


def test_what_was_kept_joins_the_pool_and_what_was_rejected_does_not() -> None:
    found = judge("novelty", Given(INSTRUCTION))
    first, second = task("Sort these numbers from small to large."), task("Sort these numbers from large to small.")
    assert found.judge(first).keep and found.judge(second).keep
    found.remember(first)
    assert found.judge(second).reason == "like_earlier"


def test_a_seed_among_the_examples_is_new_beside_itself() -> None:
    seed = task("Name five fruits that are green.", seed=True)
    assert opinion("novelty", seed, Given(INSTRUCTION, seeds=[seed])).keep


@settings(max_examples=200)
@given(st.lists(WORDS, max_size=12), WORDS, st.sampled_from([0.3, 0.5, 0.7, 1.0]))
def test_nothing_is_passed_over_that_a_look_at_every_text_finds(pool: list[str], text: str, threshold: float) -> None:
    seeds = [made(each, number=place, task=INSTRUCTION, origin="seed") for place, each in enumerate(pool)]
    said = judge("novelty", Given(INSTRUCTION, seeds=seeds), threshold=threshold).judge(task(text))
    likest = max((rouge_l(text, each) for each in pool), default=0.0)
    assert said.keep == (likest < threshold - 1e-9)
    assert said.keep or said.score == pytest.approx(likest)


def test_ten_thousand_instructions_are_judged_in_a_minute_at_most() -> None:
    random = Random(1)
    common = [f"w{number}" for number in range(2000)]
    weights = [1 / (place + 1) for place in range(len(common))]
    found, kept = judge("novelty", Given(INSTRUCTION)), 0
    begun = time.process_time()
    for number in range(10_000):
        example = made(" ".join(random.choices(common, weights, k=20)), number=number, task=INSTRUCTION)
        if found.judge(example).keep:
            found.remember(example)
            kept += 1
    assert kept > 9000
    assert time.process_time() - begun < 60
