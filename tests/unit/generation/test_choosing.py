"""Which seeds a prompt shows, and what it costs to choose them."""

from random import Random
from typing import Any, ClassVar

import pytest
from cultivar_generation.strategies import Pool
from cultivar_generation.strategies.choosing import choose
from cultivar_generation.strategies.expand import Expand, ExpandConfig
from cultivar_generation.strategies.pool import alike, sketch
from cultivar_records import Example, Score, TaskKind, TaskSpec
from cultivar_texts import jaccard, words
from hypothesis import given
from hypothesis import strategies as st

from tests.seeds import TEXTS, seeds

TASK = TaskSpec(kind=TaskKind.CLASSIFICATION, instruction="Sort it.", labels=tuple(TEXTS))


@given(number=st.integers(0, 1000))
def test_the_nearest_seeds_are_more_alike_than_the_most_diverse(number: int) -> None:
    pool = Pool(seeds())
    near, far = (choose(rule, pool, 2, Random(number)) for rule in ("nearest", "diverse"))
    likeness = [jaccard(*(set(words(seed.text)) for seed in pair)) for pair in (near, far)]
    assert likeness[0] >= likeness[1]
    assert len({seed.id for seed in (*choose("diverse", pool, 4, Random(number)),)}) == 4


@given(st.lists(st.none() | st.integers(1, 5), min_size=4, max_size=40), st.integers(1, 8), st.integers(0, 1000))
def test_the_best_reviewed_seeds_are_shown_before_others_and_those_without_a_score_last(
    scores: list[int | None], count: int, number: int
) -> None:
    pool = Pool(reviewed(seed, score) for seed, score in zip(seeds(10), scores, strict=False))
    shown = choose("best-reviewed", pool, count, Random(number))
    ranks = [seed.provenance.mean_score or 0 for seed in shown]
    assert sorted(ranks) == sorted((score or 0 for score in scores), reverse=True)[: len(shown)][::-1]
    assert len({seed.id for seed in shown}) == len(shown) == min(count, len(pool))
    if count < len(pool):
        assert ranks == sorted(ranks)


@given(st.lists(st.text("ab c", max_size=12), min_size=1, max_size=4))
def test_texts_are_as_alike_as_their_words(texts: list[str]) -> None:
    for first in texts:
        exact = [jaccard(set(words(first)), set(words(second))) if words(second) else 0 for second in texts]
        assert alike(sketch(first), [sketch(second) for second in texts]) == pytest.approx(exact)


class Counted(Example):
    """A seed that counts how often its label is asked for."""

    asked: ClassVar[int] = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "label":
            Counted.asked += 1
        return super().__getattribute__(name)


def test_a_call_is_planned_without_looking_through_the_seeds() -> None:
    pool = Pool(Counted.model_construct(**dict(seed)) for seed in seeds(100))
    Expand().plan(0, pool, TASK, ExpandConfig(), Random(0))
    Counted.asked = 0
    for number in range(20):
        Expand().plan(number, pool, TASK, ExpandConfig(), Random(number))
    assert Counted.asked < len(pool)


def reviewed(seed: Example, score: int | None) -> Example:
    """A seed with one score in each of two criteria, or with none."""
    scores = () if score is None else tuple(Score(criterion=name, score=score) for name in ("accuracy", "tone"))
    return seed.model_copy(update={"provenance": seed.provenance.model_copy(update={"scores": scores})})


def test_equally_reviewed_seeds_take_turns() -> None:
    pool = Pool(reviewed(seed, 5 if place < 5 else 2) for place, seed in enumerate(seeds(5)))
    shown = {seed.id for number in range(40) for seed in choose("best-reviewed", pool, 2, Random(number))}
    assert shown == {seed.id for seed in pool[:5]}
