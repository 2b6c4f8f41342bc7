"""What says the same in other words is told by the cosine of embeddings with all seeds and all that was kept before."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from cultivar_filtering import sieve
from cultivar_filtering.filters import Given, vectors
from cultivar_filtering.filters.protocol import wording
from cultivar_filtering.filters.vectors import Matrix, Pool, Vectors
from cultivar_filtering.recipes import resolve
from cultivar_filtering.sieve import Judged, Outcome, Sieve
from cultivar_records import Example
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.filtering.made import TASK, judge, made, opinion, seed

MODEL = "all-minilm-l6-v2"
SMALL = 8
"""Rows of a block, and of a chunk of the pool, in tests where many are needed."""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and chunks of a few rows."""
    monkeypatch.setattr(sieve, "BLOCK", SMALL)
    monkeypatch.setattr(vectors, "CHUNK", SMALL)


def unit(degrees: float) -> Matrix:
    """A vector in the plane."""
    radians = np.deg2rad(degrees)
    return np.array([np.cos(radians), np.sin(radians)], np.float32)


def holding(**degrees: float) -> Vectors:
    """Vectors of texts of one word."""
    held = Vectors()
    held.hold({MODEL: (list(degrees), np.stack([unit(each) for each in degrees.values()]))})
    return held


@pytest.mark.parametrize(("degrees", "reason"), [(0, "of_seed"), (36, "of_seed"), (38, ""), (90, ""), (180, "")])
def test_a_text_says_the_same_from_a_cosine_of_eight_tenths(degrees: float, reason: str) -> None:
    pool = Given(TASK, [seed("lost")], vectors=holding(lost=0, gone=degrees))
    said = opinion("semantic_duplicate", made("gone"), pool)
    assert said.reason == reason
    assert said.keep or said.score == pytest.approx(np.cos(np.deg2rad(degrees)), abs=1e-6)


def test_the_nearest_of_seeds_and_kept_examples_is_named_and_a_rejected_one_counts_for_nothing() -> None:
    pool = Given(TASK, [seed("lost")], vectors=holding(lost=0, gone=40, missing=50, away=20))
    found = judge("semantic_duplicate", pool)
    block = [made("gone"), made("missing"), made("away")]
    found.begin(block)
    assert found.judge(block[0]).keep
    assert found.judge(block[1]).keep, "it was not remembered yet"
    found.remember(block[0])
    assert found.judge(block[1]).reason == "of_earlier"
    said = found.judge(block[2])
    assert (said.keep, said.score) == (False, pytest.approx(np.cos(np.deg2rad(20)), abs=1e-6))
    found.begin(block)
    assert [found.judge(one).reason for one in block[:2]] == ["of_earlier", "of_earlier"]


def test_a_seed_among_the_examples_is_not_near_itself_and_an_empty_text_is_near_none() -> None:
    pool = Given(TASK, [seed("lost"), seed("gone")], vectors=holding(lost=0, gone=1))
    assert opinion("semantic_duplicate", seed("gone"), pool).keep
    assert opinion("semantic_duplicate", made(" "), pool).keep


def test_a_text_that_the_model_refused_fails_alone() -> None:
    rows = [made("gone"), made("much too long"), made("away")]
    pool = Given(TASK, vectors=holding(gone=0, away=90))
    judged = {one.example.text: one for one in Sieve([resolve("semantic_duplicate", {})], pool).judge(rows)}
    assert judged["much too long"].outcome is Outcome.FAILED
    assert "gave no vector" in judged["much too long"].verdicts[0].reason
    assert [judged[text].outcome for text in ("gone", "away")] == [Outcome.KEPT] * 2


def test_at_a_threshold_of_one_the_same_text_is_rejected_whatever_its_vector_was_rounded_to() -> None:
    random = np.random.default_rng(1)
    rows = random.normal(size=(200, 384))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    pool = Pool(1.0)
    for place, row in enumerate(rows):
        pool.add(f"{place:03d}", row)
    assert [near[0].id for near in pool.near(rows)] == [f"{place:03d}" for place in range(200)]


def plain(pool: Sequence[Matrix], row: Matrix, threshold: float) -> list[int]:
    """The places of those near a row, the nearest first, by a look at each in turn."""
    cosines = [float(np.float64(row) @ np.float64(each)) for each in pool]
    return sorted((place for place, cosine in enumerate(cosines) if cosine >= threshold), key=lambda i: -cosines[i])


@settings(max_examples=100)
@given(number=st.integers(0, 40), start=st.integers(0, 40), threshold=st.sampled_from([0.2, 0.5, 0.8]))
def test_a_pool_finds_what_a_look_at_each_finds_however_many_are_looked_up_at_once(
    number: int, start: int, threshold: float
) -> None:
    random = np.random.default_rng(number)
    rows = random.normal(size=(number + 20, 6))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    pool, held, asked = Pool(threshold), rows[:number], rows[number:]
    for place, row in enumerate(held):
        pool.add(f"{place:03d}", row)
    start = min(start, number)
    together = pool.near(asked, start)
    assert together == [near for row in asked for near in pool.near(row[np.newaxis], start)]
    for near, row in zip(together, asked, strict=True):
        assert [int(one.id) - start for one in near] == plain(held[start:], row, threshold)


def test_of_equally_near_texts_the_smallest_id_is_named_whatever_the_order() -> None:
    for ids in (["b", "a", "c"], ["c", "b", "a"]):
        pool = Pool(0.5)
        for id in ids:
            pool.add(id, unit(10))
        (near,) = pool.near(unit(0)[np.newaxis])
        assert [one.id for one in near] == ["a", "b", "c"]


def in_pieces(rows: Sequence[Example], stops: Iterable[int]) -> list[Judged]:
    """Judges rows with a kill at each stop, after which a new sieve is told what was kept and goes on."""
    judged: list[Judged] = []
    bounds = [0, *sorted({stop * SMALL for stop in stops if stop * SMALL < len(rows)}), len(rows)]
    for start, end in pairwise(bounds):
        pool = Given(TASK, [seed("one")])
        pool.vectors.hold(embedded([seed("one")]))
        found = Sieve([resolve("semantic_duplicate", {})], pool)
        kept = [one.example for one in judged if one.outcome is Outcome.KEPT]
        for part in (kept[:5], kept[5:]):
            pool.vectors.hold(embedded(part))
            found.remember(part)
        pool.vectors.hold(embedded(rows[start:end]))
        judged += found.judge(rows[start:end])
    return judged


def embedded(examples: Sequence[Example]) -> vectors.Embedded:
    """A vector for each text, that follows from the text alone."""
    texts = [wording(example) for example in examples]
    rows = [np.random.default_rng(list(text.encode())).normal(size=4) for text in texts]
    return {MODEL: (texts, np.array([row / np.linalg.norm(row) for row in rows], np.float32).reshape(-1, 4))}


@settings(max_examples=15, deadline=None)
@given(stops=st.lists(st.integers(1, 10), max_size=4))
def test_a_run_killed_at_any_range_gives_the_same_verdicts(stops: list[int]) -> None:
    rows = [made(f"text {number}", number=number) for number in range(10 * SMALL + 3)]
    whole = in_pieces(rows, [])
    assert 10 < sum(one.outcome is Outcome.KEPT for one in whole) < len(rows) - 10
    assert in_pieces(rows, stops) == whole
