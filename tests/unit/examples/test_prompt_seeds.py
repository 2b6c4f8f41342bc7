"""The seeds that shipped prompts are measured on: every row is good."""

from pathlib import Path

import pytest
from cultivar_records import Example, TaskKind, read_rows

SEEDS = Path(__file__).parents[3] / "examples" / "prompts"


@pytest.mark.parametrize(
    ("name", "kind", "rows"),
    [
        ("instructions.jsonl", TaskKind.INSTRUCTION, 6),
        ("entities.jsonl", TaskKind.ENTITIES, 4),
        ("code.jsonl", TaskKind.CODE, 2),
        ("passages.md", TaskKind.INSTRUCTION, 2),
    ],
)
def test_every_row_is_a_seed_of_its_task(name: str, kind: TaskKind, rows: int) -> None:
    found = list(read_rows(SEEDS / name, kind, unanswered=name.endswith(".md")))
    examples = [row for row in found if isinstance(row, Example)]
    assert len(examples) == len(found) == rows
    assert all(example.tests for example in examples) or kind is not TaskKind.CODE
    surfaces = [one.text[span.start : span.end] for one in examples for span in one.spans]
    assert bool(surfaces) is (kind is TaskKind.ENTITIES) and all(part.istitle() for part in surfaces)
