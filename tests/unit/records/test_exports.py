"""What is exported can be read by others, and by ourselves."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cultivar_records import (
    EXAMPLE_SCHEMA,
    Example,
    Message,
    Provenance,
    Span,
    TaskKind,
    example_id,
    from_table,
    read_rows,
    write_chat_jsonl,
    write_parquet,
)


def examples(task: TaskKind, count: int = 20) -> list[Example]:
    """Makes examples of a task, sorted by id, with text that is awkward to write."""
    rows = []
    for number in range(count):
        key = example_id("run", str(number), 0)
        answer = "b" if task is TaskKind.CLASSIFICATION else "line\u2028one\nline two"
        rows.append(
            Example(
                id=key,
                task=task,
                messages=(
                    Message(role="user", content=f'é, "{number}"\r\n'),
                    Message(role="assistant", content=answer),
                ),
                label="b" if task is TaskKind.CLASSIFICATION else None,
                spans=(Span(start=0, end=1, label="x"),) if task is TaskKind.ENTITIES and number % 2 else (),
                tests=("assert True",) if task is TaskKind.CODE and number % 2 else (),
                provenance=Provenance(origin="seed", family=key),
            )
        )
    return sorted(rows, key=lambda row: row.id)


@pytest.mark.parametrize("task", list(TaskKind))
def test_chat_jsonl_comes_back_as_the_same_conversations(tmp_path: Path, task: TaskKind) -> None:
    rows = examples(task)
    assert write_chat_jsonl(tmp_path / "rows", rows) == len(rows)
    back = [row for row in read_rows(tmp_path / "rows", task) if isinstance(row, Example)]
    assert [(row.messages, row.label, row.spans, row.tests) for row in back] == [
        (row.messages, row.label, row.spans, row.tests) for row in rows
    ]


@pytest.mark.parametrize("task", list(TaskKind))
def test_every_row_of_a_chat_file_has_the_same_keys(tmp_path: Path, task: TaskKind) -> None:
    write_chat_jsonl(tmp_path / "rows", examples(task))
    lines = (tmp_path / "rows").read_bytes().decode().removesuffix("\n").split("\n")
    assert len({tuple(json.loads(line)) for line in lines}) == 1
    assert all(line.startswith('{"id":') for line in lines)


def test_parquet_keeps_every_field_and_the_schema(tmp_path: Path) -> None:
    rows = examples(TaskKind.ENTITIES)
    assert write_parquet(tmp_path / "rows", rows) == len(rows)
    table = pq.read_table(tmp_path / "rows")
    assert table.schema == EXAMPLE_SCHEMA
    assert list(from_table(table)) == rows


def test_a_parquet_file_of_no_examples_keeps_the_schema(tmp_path: Path) -> None:
    assert write_parquet(tmp_path / "rows", []) == 0
    assert pq.read_table(tmp_path / "rows").schema == EXAMPLE_SCHEMA


def test_our_parquet_comes_back_through_the_reader(tmp_path: Path) -> None:
    rows = examples(TaskKind.CLASSIFICATION)
    write_parquet(tmp_path / "rows", rows)
    back = [row for row in read_rows(tmp_path / "rows", TaskKind.CLASSIFICATION) if isinstance(row, Example)]
    assert [row.messages for row in back] == [row.messages for row in rows]


def test_row_groups_are_bounded_and_hold_all_rows(tmp_path: Path) -> None:
    rows = examples(TaskKind.INSTRUCTION, count=1)
    assert write_parquet(tmp_path / "rows", rows * 8193) == 8193
    metadata = pq.read_metadata(tmp_path / "rows")
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [8192, 1]


def test_a_row_with_evidence_and_a_rejected_answer_has_them_in_the_chat_file(tmp_path: Path) -> None:
    plain, other = examples(TaskKind.INSTRUCTION, 2)
    pair = other.model_copy(update={"evidence": ("A passage.",), "rejected": "a worse answer"})
    write_chat_jsonl(tmp_path / "rows", [plain, pair])
    first, second = map(json.loads, (tmp_path / "rows").read_text().split("\n")[:2])
    assert "evidence" not in first
    assert (second["evidence"], second["rejected"]) == (["A passage."], "a worse answer")
