"""Near-duplicates are found, are real, and do not depend on how texts arrive."""

import random
import string
from collections.abc import Sequence

import numpy as np
import pytest
from cultivar_texts import NearDuplicates, Neighbour, jaccard, shingles
from cultivar_texts.buckets import BUCKET_ROWS, Buckets
from cultivar_texts.sketches import Bands
from hypothesis import given, settings
from hypothesis import strategies as st

TEXT = st.lists(st.sampled_from(["my", "card", "is", "lost", "where", "Now!", "?", "42"]), max_size=12).map(" ".join)
LONG = " ".join(f"word{number}" for number in range(40))
CUT = st.tuples(st.integers(0, 8), st.integers(0, 8)).map(lambda ends: " ".join(LONG.split()[ends[0] : 40 - ends[1]]))
"""Cuts of one long text, of which most are near each other and some are not."""
TEXTS = st.lists(TEXT | CUT | CUT.map(str.upper), max_size=20)


def sentence(draw: random.Random, length: int) -> list[str]:
    """Draws words that hardly ever come twice."""
    return ["".join(draw.choices(string.ascii_lowercase, k=6)) for _ in range(length)]


def numbered(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Gives texts their ids: a, b, c, …"""
    return [(f"{number:04}", text) for number, text in enumerate(texts)]


def held(texts: Sequence[str]) -> NearDuplicates:
    """Makes an index of numbered texts."""
    index = NearDuplicates()
    index.add_many(numbered(texts))
    return index


@settings(deadline=None)
@given(texts=TEXTS, text=TEXT)
def test_a_neighbour_is_as_near_as_it_says(texts: list[str], text: str) -> None:
    found = held(texts).query(text)
    if found is not None:
        assert found.similarity == pytest.approx(jaccard(shingles(text), shingles(texts[int(found.id)])))
        assert found.similarity >= 0.8


@settings(deadline=None)
@given(texts=TEXTS)
def test_every_text_held_is_found_as_itself(texts: list[str]) -> None:
    assert all(near is not None and near.similarity == 1 for near in held(texts).query_many(texts))


@settings(deadline=None)
@given(texts=TEXTS, queries=TEXTS)
def test_all_that_are_near_begin_with_the_nearest_and_are_as_near_as_they_say(
    texts: list[str], queries: list[str]
) -> None:
    index, asked = held(texts), texts + queries
    for text, near, nearest in zip(asked, index.near_many(asked), index.query_many(asked), strict=True):
        assert near[:1] == ([nearest] if nearest else [])
        assert near == sorted(near, key=lambda one: (-one.similarity, one.id))
        assert len({one.id for one in near}) == len(near)
        for one in near:
            assert one.similarity == pytest.approx(jaccard(shingles(text), shingles(texts[int(one.id)])))
            assert one.similarity >= 0.8 - 1e-9


@settings(deadline=None)
@given(first=TEXT, second=TEXT)
def test_nearness_is_symmetric(first: str, second: str) -> None:
    one, other = held([first]).query(second), held([second]).query(first)
    assert one == other


@settings(deadline=None)
@given(texts=TEXTS, seed=st.integers(0, 99), queries=TEXTS)
def test_the_order_of_adding_changes_no_answer(texts: list[str], seed: int, queries: list[str]) -> None:
    items = numbered(texts)
    random.Random(seed).shuffle(items)
    index = NearDuplicates()
    for id, text in items:
        index.add(id, text)
    assert index.query_many(queries) == held(texts).query_many(queries)


@settings(deadline=None)
@given(texts=TEXTS)
def test_adding_again_changes_nothing(texts: list[str]) -> None:
    index = held(texts)
    size, answers = len(index), index.query_many(texts)
    index.add_many(numbered(texts))
    assert (len(index), index.query_many(texts)) == (size, answers)


@settings(deadline=None)
@given(texts=TEXTS)
def test_what_is_left_out_is_near_something_kept_before_it(texts: list[str]) -> None:
    verdicts = list(NearDuplicates().keep_first(numbered(texts)))
    assert [id for id, _ in verdicts] == [id for id, _ in numbered(texts)]
    kept: list[int] = []
    for place, (_, near) in enumerate(verdicts):
        if near is None:
            kept.append(place)
            continue
        assert int(near.id) in kept
        assert jaccard(shingles(texts[place]), shingles(texts[int(near.id)])) == pytest.approx(near.similarity)


@settings(deadline=None)
@given(texts=TEXTS, cut=st.integers(0, 20))
def test_where_the_stream_is_cut_changes_no_verdict(texts: list[str], cut: int) -> None:
    items = numbered(texts)
    index = NearDuplicates()
    in_two = [*index.keep_first(items[:cut]), *index.keep_first(items[cut:])]
    assert in_two == list(NearDuplicates().keep_first(items))


@settings(deadline=None)
@given(kinds=st.lists(st.integers(0, 5), max_size=30), seed=st.integers(0, 99))
def test_of_exact_duplicates_one_is_kept_in_any_order(kinds: list[int], seed: int) -> None:
    draw = random.Random(0)
    texts = [" ".join(sentence(draw, 8)) for _ in range(6)]
    items = [(str(number), texts[kind].upper() + "!" * number) for number, kind in enumerate(kinds)]
    random.Random(seed).shuffle(items)
    kept = [id for id, near in NearDuplicates().keep_first(items) if near is None]
    assert sorted(kinds[int(id)] for id in kept) == sorted(set(kinds))


def test_short_texts_do_not_collapse_into_one() -> None:
    texts = [f"{first} {second}" for first in string.ascii_lowercase for second in string.ascii_lowercase]
    texts += ["", "?", "!", "...", "\U0001f600", "x"]
    assert all(near is None for _, near in NearDuplicates().keep_first(numbered(texts)))


def test_a_short_text_is_not_taken_for_a_longer_one_made_of_it() -> None:
    index = held(["yes"])
    assert index.query("yes yes yes") is None
    assert index.query("Yes.") == Neighbour("0000", 1.0)


def test_the_nearest_of_several_is_given_and_of_equals_the_smallest_id() -> None:
    base = sentence(random.Random(1), 40)
    texts = [" ".join(base[:36]), " ".join(base[:38]), " ".join([*base[:38], "x"])]
    near = held(texts).query(" ".join(base))
    assert near is not None and near.id == "0001"
    twins = NearDuplicates()
    twins.add_many([("b", " ".join(["x", *base])), ("a", " ".join([*base, "x"]))])
    assert twins.query(" ".join(base)) == Neighbour("a", 38 / 39)


def test_a_pair_just_at_the_threshold_is_near_and_one_below_is_not() -> None:
    base = sentence(random.Random(2), 102)
    assert held([" ".join(base)]).query(" ".join(base[:82])) == Neighbour("0000", 0.8)
    assert held([" ".join(base)]).query(" ".join(base[:81])) is None


def test_nearly_every_pair_at_the_threshold_is_found() -> None:
    draw = random.Random(3)
    texts = [sentence(draw, 22) for _ in range(1500)]
    index = held([" ".join(text) for text in texts])
    answers = index.query_many([" ".join(text[:18]) for text in texts])
    found = sum(near == Neighbour(f"{number:04}", 0.8) for number, near in enumerate(answers))
    assert found >= 0.985 * len(texts)


def edited(draw: random.Random, text: list[str]) -> str:
    """Makes a variant: cut short, a word changed or two exchanged, in other case."""
    variant = text[: draw.randint(len(text) * 9 // 10, len(text))]
    place = draw.randrange(len(variant) - 1)
    variant[place : place + 2] = draw.choice([[variant[place + 1], variant[place]], ["changed", variant[place + 1]]])
    return draw.choice([str.upper, str.title, str.lower])(" ".join(variant)) + draw.choice(["", "!", " ..."])


def test_what_is_found_among_edited_texts_is_what_comparing_all_pairs_finds() -> None:
    draw = random.Random(4)
    bases = [sentence(draw, draw.randint(20, 80)) for _ in range(80)]
    texts = [edited(draw, draw.choice(bases)) for _ in range(300)]
    answers = held([" ".join(base) for base in bases]).query_many(texts)
    sets = [shingles(" ".join(base)) for base in bases]
    truth = [max(jaccard(shingles(text), theirs) for theirs in sets) for text in texts]
    near = [value >= 0.8 for value in truth]
    assert 60 < sum(near) < 240
    agree = [(answer is not None) == close for answer, close in zip(answers, near, strict=True)]
    assert sum(agree) >= 299
    assert all(close for answer, close in zip(answers, near, strict=True) if answer)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_bands_find_a_pair_at_the_threshold_in_995_cases_of_1000(threshold: float) -> None:
    bands = Bands.for_threshold(threshold)
    assert bands.chance(threshold) >= 0.995
    assert bands.number * bands.rows <= 128


@pytest.mark.parametrize(("threshold", "width"), [(0.0, 3), (-1.0, 3), (1.1, 3), (0.8, 0)])
def test_settings_without_meaning_are_refused(threshold: float, width: int) -> None:
    with pytest.raises(ValueError, match=r"threshold|word"):
        NearDuplicates(threshold, width=width)


KEYS = st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=2), max_size=30)


@settings(deadline=None)
@given(parts=st.lists(KEYS, max_size=4), queries=KEYS)
def test_buckets_find_just_the_rows_that_share_a_key(parts: list[list[list[int]]], queries: list[list[int]]) -> None:
    buckets, rows = Buckets(), list[list[int]]()
    for part in parts:
        buckets.add(np.array(part, dtype=np.uint64).reshape(-1, 2), len(rows))
        rows += part
    shared = [
        [query, row] for query, keys in enumerate(queries) for row, others in enumerate(rows) if set(keys) & set(others)
    ]
    found = buckets.candidates(np.array(queries, dtype=np.uint64).reshape(-1, 2)).tolist()
    if max((sum(key in keys for keys in rows) for key in range(6)), default=0) <= BUCKET_ROWS // 2:
        assert found == shared
    assert all(pair in shared for pair in found)


def test_rows_that_come_one_at_a_time_lie_in_few_arrays() -> None:
    buckets = Buckets()
    for row in range(300):
        buckets.add(np.full((1, 2), row, dtype=np.uint64), row)
        assert 2 ** len(buckets._parts) <= 2 * (row + 1)
    assert buckets.candidates(np.array([[7, 300]], dtype=np.uint64)).tolist() == [[0, 7]]


def test_a_crowded_bucket_is_looked_at_only_so_far() -> None:
    buckets = Buckets()
    buckets.add(np.zeros((1000, 2), dtype=np.uint64), 0)
    assert len(buckets.candidates(np.zeros((1, 2), dtype=np.uint64))) <= BUCKET_ROWS
