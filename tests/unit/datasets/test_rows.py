"""Rows of a file become examples or bad rows, each exactly one of them."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from cultivar_datasets.rows import Apart, Bad, assign_families, next_range, read_examples
from cultivar_datasets.specs import ImportSpec
from cultivar_records import Example, TaskKind, TaskSpec, file_digest
from hypothesis import given, settings
from hypothesis import strategies as st

LABELS = ("refund", "delivery")
Row = Example | Bad


def read(path: Path, apart: Apart | None = None, **changed: Any) -> list[Row]:
    return list(read_examples(path, spec_of(path, **changed), apart or Apart()))


def spec_of(path: Path, **changed: Any) -> ImportSpec:
    given = {
        "source": file_digest(path),
        "artifact": "0" * 64,
        "task": TaskSpec(kind=TaskKind.CLASSIFICATION, instruction="", labels=LABELS),
        "splits": [{"kind": "seeds", "share": 1.0}],
    }
    return ImportSpec.model_validate({**given, **changed})


def write(path: Path, *rows: tuple[str, str]) -> Path:
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    return path


def test_a_wrong_label_is_named_with_the_nearest_and_the_reason_holds_no_text(tmp_path: Path) -> None:
    (bad,) = read(write(tmp_path / "rows.jsonl", ("my secret", "refnud")))
    assert bad == Bad(1, "The label is none of the 2 labels of the task; the nearest is 'refund'.", "refnud")


def test_rows_of_one_normal_form_are_one_family_and_others_their_own(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", ("Where is it?", "delivery"), ("money back", "refund"), ("where IS it", "delivery")
    )
    first, other, again = read(path)
    assert isinstance(first, Example) and isinstance(other, Example) and isinstance(again, Example)
    assert first.provenance.family == again.provenance.family == first.id != again.id
    assert other.provenance.family == other.id
    assert (first.provenance.origin, first.provenance.source, again.provenance.line) == ("seed", file_digest(path), 3)


def test_a_copy_of_another_artifacts_example_is_a_bad_row_that_names_it(tmp_path: Path) -> None:
    text = "the parcel with the green lamp never came to my door"
    (held,) = read(write(tmp_path / "held.jsonl", (text, "delivery")))
    assert isinstance(held, Example)
    apart = Apart()
    apart.add("projects/p/artifacts/x", [held])
    path = write(
        tmp_path / "rows.jsonl", (text.upper(), "delivery"), (text + " today", "delivery"), ("refund me", "refund")
    )
    same, near, other = read(path, apart)
    assert isinstance(same, Bad) and isinstance(near, Bad) and isinstance(other, Example)
    assert same.reason == f"The row is a duplicate of {held.id} in projects/p/artifacts/x."
    assert near.reason.startswith("The row is a near-duplicate (0.") and near.repeats


def test_a_line_of_200_mb_is_one_bad_row_and_is_never_held(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", ("first", "refund"))
    with path.open("ab") as file:
        file.truncate(file.tell() + (200 << 20))
    with path.open("ab") as file:
        file.write(b"\n" + json.dumps({"text": "last", "label": "refund"}).encode())
    spec = spec_of(path)
    tracemalloc.start()
    first, long, last = read_examples(path, spec, Apart())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(first, Example) and isinstance(last, Example)
    assert isinstance(long, Bad) and long.line == 2 and "longer than" in long.reason
    assert peak < 16 << 20


@settings(max_examples=40, deadline=None)
@given(kinds=st.lists(st.sampled_from(["good", "json", "utf8", "label", "empty"]), min_size=1, max_size=40))
def test_every_row_ends_in_exactly_one_place_under_its_own_line(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str]
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    broken = {
        "json": b"{broken",
        "utf8": b'{"text": "\xff", "label": "refund"}',
        "empty": b'{"text": "", "label": "refund"}',
    }
    broken["label"] = b'{"text": "hello", "label": "other"}'
    good = [json.dumps({"text": f"say {number}", "label": "refund"}).encode() for number in range(len(kinds))]
    path.write_bytes(b"".join(broken.get(kind, good[place]) + b"\n" for place, kind in enumerate(kinds)))
    rows = read(path)
    assert [row.line if isinstance(row, Bad) else row.provenance.line for row in rows] == [*range(1, len(kinds) + 1)]
    assert [isinstance(row, Example) for row in rows] == [kind == "good" for kind in kinds]
    assert read(path) == rows


def test_a_split_cuts_no_family_and_covers_every_one(tmp_path: Path) -> None:
    rows = [(f"case {number // 2}", LABELS[number // 2 % 2]) for number in range(80)]
    path = write(tmp_path / "rows.jsonl", *rows)
    splits = [{"kind": "seeds", "share": 3.0}, {"kind": "held_out", "share": 1.0}]
    spec = spec_of(path, splits=splits)
    parts = assign_families(read_examples(path, spec, Apart()), spec)
    assert parts.keys() == {row.provenance.family for row in read(path) if isinstance(row, Example)}
    assert len(parts) == 40
    assert sum(kind == "held_out" for kind in parts.values()) == 10


def test_a_range_ends_before_it_grows_large(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *((f"{number} " + "x" * 900_000, "refund") for number in range(12)))
    rows = read_examples(path, spec_of(path), Apart())
    sizes = [len(taken) for taken in iter(lambda: next_range(rows), [])]
    assert sum(sizes) == 12 and max(sizes) == 10
