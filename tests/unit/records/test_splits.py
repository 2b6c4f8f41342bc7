"""A split never cuts a family, depends on no order, and keeps the balance of labels."""

import random
from collections import Counter

import pytest
from cultivar_records import Example, Message, Provenance, TaskKind, example_id, split_by_family
from hypothesis import given, settings
from hypothesis import strategies as st

SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}


def example(number: int, label: str, family: str = "") -> Example:
    """Makes a classification example; without a family it is its own."""
    key = example_id("run", str(number), 0)
    return Example(
        id=key,
        task=TaskKind.CLASSIFICATION,
        messages=(Message(role="user", content=str(number)), Message(role="assistant", content=label)),
        label=label,
        provenance=Provenance(origin="seed", family=family or key),
    )


_MEMBERS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 15)), max_size=60)


@settings(deadline=None)
@given(members=_MEMBERS, seed=st.integers(0, 9))
def test_no_family_is_cut_no_row_is_lost_and_order_changes_nothing(members: list[tuple[str, int]], seed: int) -> None:
    rows = [example(number, label, f"f{family}") for number, (label, family) in enumerate(members)]
    parts = split_by_family(rows, SHARES, seed)
    assert Counter(row.id for part in parts.values() for row in part) == Counter(row.id for row in rows)
    families = [{row.provenance.family for row in part} for part in parts.values()]
    assert sum(map(len, families)) == len(set().union(*families))
    random.Random(seed).shuffle(rows)
    assert split_by_family(rows, SHARES, seed) == parts


def test_each_label_keeps_the_shares() -> None:
    rows = [example(number, f"label{number % 7}") for number in range(700)]
    parts = split_by_family(rows, SHARES, 1)
    assert {name: len(part) for name, part in parts.items()} == {"train": 560, "dev": 70, "test": 70}
    for part, count in (("train", 80), ("dev", 10), ("test", 10)):
        assert set(Counter(row.label for row in parts[part]).values()) == {count}


def test_what_does_not_divide_evenly_still_keeps_the_shares_overall() -> None:
    rows = [example(number, f"label{number % 77}") for number in range(77 * 13)]
    parts = split_by_family(rows, SHARES, 1)
    assert abs(len(parts["train"]) / len(rows) - 0.8) < 0.01
    assert abs(len(parts["test"]) / len(rows) - 0.1) < 0.01
    assert all({row.label for row in part} == {row.label for row in rows} for part in parts.values())


def test_large_families_still_keep_the_shares() -> None:
    sizes = random.Random(0)
    rows: list[Example] = []
    for family in range(200):
        rows += [example(len(rows), f"label{family % 4}", f"f{family}") for _ in range(sizes.randint(1, 10))]
    parts = split_by_family(rows, {"train": 3, "test": 1}, 1)
    for label in {row.label for row in rows}:
        total = sum(row.label == label for row in rows)
        held_out = sum(row.label == label for row in parts["test"])
        assert abs(held_out / total - 0.25) < 0.05


def test_large_families_are_not_all_on_one_side() -> None:
    rows: list[Example] = []
    for family in range(100):
        rows += [example(len(rows) + member, "a", f"f{family}") for member in range(10 if family % 4 == 0 else 1)]
    parts = split_by_family(rows, {"train": 1, "test": 1}, 1)
    for part in parts.values():
        sizes = Counter(row.provenance.family for row in part)
        assert 12 <= sum(size == 10 for size in sizes.values()) <= 13


def test_a_label_of_one_family_is_trained_on() -> None:
    rows = [example(number, f"label{number}") for number in range(10)]
    assert len(split_by_family(rows, SHARES, 3)["train"]) == 10


def test_another_seed_gives_another_split() -> None:
    rows = [example(number, "a") for number in range(100)]
    assert split_by_family(rows, SHARES, 1) != split_by_family(rows, SHARES, 2)


@pytest.mark.parametrize("shares", [{}, {"train": 1.0, "test": 0.0}, {"train": 1.0, "test": -1.0}])
def test_shares_that_are_not_positive_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="share"):
        split_by_family([], shares, 1)
