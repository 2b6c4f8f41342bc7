"""A sample of a file depends on its rows and the seed alone."""

import json
from collections import Counter
from pathlib import Path

from cultivar_datasets.drawing import draw, wanted
from cultivar_datasets.rows import Apart, read_examples
from cultivar_datasets.specs import ImportSpec
from cultivar_records import Example, TaskKind, TaskSpec, file_digest

LABELS = ("refund", "delivery")


def spec_of(path: Path, **changed: object) -> ImportSpec:
    given = {
        "source": file_digest(path),
        "artifact": "0" * 64,
        "task": TaskSpec(kind=TaskKind.CLASSIFICATION, instruction="", labels=LABELS),
        "splits": [{"kind": "seeds", "share": 1.0}],
    }
    return ImportSpec.model_validate({**given, **changed})


def write(path: Path, count: int) -> Path:
    labels = [*LABELS, "other"]
    rows = [{"text": f"message {number}", "label": labels[number % 3]} for number in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_draw_takes_as_many_of_each_label_as_are_asked_for_and_another_seed_takes_others(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", 90)
    spec = spec_of(path, per_label=10, only_labels=True)
    rows = list(read_examples(path, spec, Apart()))
    drawn = draw(rows, spec)
    kept = list(wanted(rows, spec, drawn))
    assert Counter(row.label for row in kept) == {"refund": 10, "delivery": 10}
    assert drawn == draw(reversed(rows), spec)
    assert drawn != draw(rows, spec_of(path, per_label=10, only_labels=True, random_seed=1))


def test_rows_of_other_labels_are_bad_unless_they_are_to_be_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", 9)
    bad = list(wanted(read_examples(path, spec_of(path), Apart()), spec_of(path), None))
    assert sum(not isinstance(row, Example) for row in bad) == 3
    spec = spec_of(path, only_labels=True)
    assert all(isinstance(row, Example) for row in wanted(read_examples(path, spec, Apart()), spec, None))


def test_a_label_with_fewer_rows_than_asked_for_gives_all_of_them(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", 9)
    spec = spec_of(path, per_label=100, only_labels=True)
    rows = list(read_examples(path, spec, Apart()))
    assert len(list(wanted(rows, spec, draw(rows, spec)))) == 6
