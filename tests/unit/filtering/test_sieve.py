"""A recipe at work: where it stops, what it counts, and that no kill and no cut of the input changes what is kept."""

import random
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise

import pytest
from cultivar_filtering import sieve
from cultivar_filtering.filters import FILTERS, FilterConfig, Given, Judge, Opinion, Rule, nearness
from cultivar_filtering.filters.protocol import keep
from cultivar_filtering.recipes import RECIPES, Use, digest_uses, resolve
from cultivar_filtering.sieve import Judged, Outcome, Sieve, counts_of
from cultivar_records import Example
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.filtering.made import TASK, made, seed

DUPLICATES = [resolve("near_duplicate", {}), resolve("exact_duplicate", {})]
SEEDS = [seed("where is my parcel"), seed("the courier never rang the bell")]


class Fragile:
    """Raises on some texts."""

    description = "Raises on texts that hold the word glass."
    reasons: dict[str, str] = {}  # noqa: RUF012
    Config = FilterConfig

    def judge(self, config: FilterConfig, given: Given) -> Judge:
        """Returns a judge that raises."""

        def rule(example: Example) -> Opinion:
            if "glass" in example.text:
                raise ZeroDivisionError("it broke")
            return keep()

        return Rule(rule)


SMALL = 16
"""Rows of a block in tests where many are needed."""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and chunks of a few rows."""
    monkeypatch.setattr(sieve, "BLOCK", SMALL)
    monkeypatch.setattr(nearness, "CHUNK", SMALL)


@cache
def crowd(number: int, seed: int = 1) -> list[Example]:
    """Examples in the order of their ids, of which half differ from another in a word."""
    chance = random.Random(seed)
    things = ["lamp", "chair", "table", "vase", "sofa", "mirror", "kettle", "towel", "carpet", "shelf"]
    things += ["late", "gone", "broken", "wet", "lost", "torn"]
    texts = [" ".join(chance.sample(things, k=8)) for _ in range(number // 2)]
    texts += [f"{chance.choice(texts)} {chance.choice(things)}" for _ in range(number - len(texts))]
    return sorted((made(text, number=place) for place, text in enumerate(texts)), key=lambda row: row.id)


def judged_in_pieces(rows: Sequence[Example], uses: Sequence[Use], stops: Iterable[int]) -> list[Judged]:
    """Judges rows with a kill at each stop, after which a new sieve is told what was kept and goes on."""
    judged: list[Judged] = []
    bounds = [0, *sorted({stop * SMALL for stop in stops if stop * SMALL < len(rows)}), len(rows)]
    for start, end in pairwise(bounds):
        found = Sieve(uses, Given(TASK, SEEDS))
        found.remember(one.example for one in judged if one.outcome is Outcome.KEPT)
        judged += found.judge(rows[start:end])
    return judged


def test_the_first_reject_is_the_last_verdict_and_kept_examples_have_all() -> None:
    rows = [made("3. my parcel is late"), made("my lamp came without a bulb")]
    first, second = Sieve(RECIPES["default"].uses, Given(TASK)).judge(rows)
    assert [(verdict.filter, verdict.keep) for verdict in first.verdicts] == [("format", False)]
    assert [verdict.filter for verdict in second.verdicts] == [use.filter for use in RECIPES["default"].uses]
    assert all(verdict.keep and verdict.example == second.example.id for verdict in second.verdicts)


def test_an_example_is_compared_with_kept_ones_only() -> None:
    uses = [*DUPLICATES, resolve("length", {"max_words": 4})]
    rows = [made("my old lamp is broken again", number=1), made("my old lamp is broken", number=2)]
    outcomes = [one.outcome for one in Sieve(uses, Given(TASK)).judge(rows)]
    assert outcomes == [Outcome.REJECTED, Outcome.REJECTED]
    uses = [*DUPLICATES, resolve("length", {"max_words": 5})]
    last = list(Sieve(uses, Given(TASK)).judge(rows))[1]
    assert last.outcome is Outcome.KEPT, "its neighbour was rejected for its length and must not count"


def test_a_filter_that_raises_fails_the_row_with_its_cause_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(FILTERS, "fragile", Fragile())
    rows = [made("the glass is gone"), made("the lamp is gone")]
    judged = list(Sieve([resolve("fragile", {}), resolve("length", {})], Given(TASK)).judge(rows))
    assert [one.outcome for one in judged] == [Outcome.FAILED, Outcome.KEPT]
    assert judged[0].verdicts[-1].reason == "error: ZeroDivisionError: it broke"
    assert counts_of(judged) == {"failed": 1, "failed.fragile": 1, "kept": 1}


def test_counts_name_filter_and_reason_and_their_sum_is_the_input() -> None:
    rows = crowd(100)
    counts = counts_of(Sieve(RECIPES["default"].uses, Given(TASK, SEEDS)).judge(rows))
    causes = {name: count for name, count in counts.items() if "." in name}
    assert counts["kept"] + counts["rejected"] == len(rows)
    assert sum(causes.values()) == counts["rejected"] > 0
    assert all(name.split(".")[2] in FILTERS[name.split(".")[1]].reasons for name in causes)


@settings(max_examples=15, deadline=None)
@given(stops=st.lists(st.integers(1, 12), max_size=4), seed=st.integers(0, 2))
def test_a_run_killed_at_any_range_gives_the_same_verdicts(stops: list[int], seed: int) -> None:
    rows = crowd(12 * SMALL + 5, seed)
    whole = judged_in_pieces(rows, DUPLICATES, [])
    assert 4 * SMALL < sum(one.outcome is Outcome.KEPT for one in whole) < len(rows) - SMALL
    assert judged_in_pieces(rows, DUPLICATES, stops) == whole


def test_the_digest_of_a_recipe_follows_from_filters_and_their_order_alone() -> None:
    assert digest_uses([resolve("length", {})]) == digest_uses([resolve("length", {"min_words": 2})])
    assert digest_uses([resolve("length", {})]) != digest_uses([resolve("length", {"min_words": 3})])
    assert digest_uses(DUPLICATES) != digest_uses(DUPLICATES[::-1])


def test_every_filter_says_what_it_does_and_which_reasons_it_gives() -> None:
    for name, found in FILTERS.items():
        assert found.description.startswith("Rejects ") and found.description.endswith("."), name
        assert found.reasons and all(reason == reason.lower().replace(" ", "_") for reason in found.reasons), name
        properties = found.Config.model_json_schema().get("properties", {})
        assert all(field.get("description") and "default" in field for field in properties.values()), name
