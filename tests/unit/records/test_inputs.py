"""Inputs without answers, and texts as passages: nothing of them is lost, and each has an id of its own."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cultivar_records import BadRow, Example, TaskKind, UnreadableFile, read_rows
from cultivar_records.formats.passages import PASSAGE_CHARACTERS
from hypothesis import given
from hypothesis import strategies as st

INSTRUCTION = TaskKind.INSTRUCTION


def inputs(path: Path) -> list[Example]:
    """The inputs of a file, which must all be good."""
    rows = list(read_rows(path, INSTRUCTION, unanswered=True))
    assert all(isinstance(row, Example) for row in rows), rows
    return [row for row in rows if isinstance(row, Example)]


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "Name a tree."},
        {"prompt": "Name a tree."},
        {"question": "Name a tree."},
        {"text": "Name a tree.", "other": 1},
        {"messages": [{"role": "user", "content": "Name a tree."}]},
    ],
    ids=lambda row: "-".join(row),
)
def test_a_row_may_hold_an_input_alone_when_it_is_asked_for(tmp_path: Path, row: dict[str, Any]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (example,) = inputs(path)
    assert (example.text, example.answer) == ("Name a tree.", "")
    (bad,) = read_rows(path, INSTRUCTION)
    assert isinstance(bad, BadRow)


def test_a_row_with_an_answer_keeps_it_beside_those_without(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"instruction": "a", "output": "b"}\n{"instruction": "c", "input": "d"}\n{"other": 1}\n')
    first, second, bad = read_rows(path, INSTRUCTION, unanswered=True)
    assert isinstance(first, Example) and isinstance(second, Example) and isinstance(bad, BadRow)
    assert (first.answer, second.text, second.answer) == ("b", "c\n\nd", "")
    assert bad.line == 3 and "instruction, prompt" in bad.reason


def test_a_table_of_inputs_is_read_as_csv_and_as_parquet(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('question\n"Name a tree."\nName a flower.\n')
    pq.write_table(pa.table({"question": ["Name a tree.", "Name a flower."]}), tmp_path / "rows.parquet")
    for name in ("rows.csv", "rows.parquet"):
        assert [example.text for example in inputs(tmp_path / name)] == ["Name a tree.", "Name a flower."]


TEXT = """# The mill

The mill was built in 1820.
It ground oats.

## Its end

The river fell dry.
"""


def test_a_text_is_cut_at_its_headings_and_says_where_a_passage_begins(tmp_path: Path) -> None:
    (tmp_path / "mill.md").write_text(TEXT)
    passages = inputs(tmp_path / "mill.md")
    assert [passage.provenance.line for passage in passages] == [1, 6]
    assert passages[0].text == "# The mill\n\nThe mill was built in 1820.\nIt ground oats."
    assert passages[1].text == "## Its end\n\nThe river fell dry."
    with pytest.raises(UnreadableFile, match="no known columns"):
        list(read_rows(tmp_path / "mill.md", INSTRUCTION))


@given(
    paragraphs=st.lists(
        st.lists(st.text("abé. !", min_size=1, max_size=700).filter(str.strip), min_size=1, max_size=6).map("\n".join),
        min_size=1,
        max_size=6,
    )
)
def test_no_word_of_a_text_is_lost_and_no_passage_is_too_long(
    tmp_path_factory: pytest.TempPathFactory, paragraphs: list[str]
) -> None:
    path = tmp_path_factory.mktemp("texts") / "text.txt"
    path.write_text("Text.\n\n" + "\n\n".join(paragraphs))
    passages = inputs(path)
    assert "".join("".join(passage.text for passage in passages).split()) == "".join(path.read_text().split())
    assert all(len(passage.text) <= PASSAGE_CHARACTERS for passage in passages)
    assert len({passage.id for passage in passages}) == len(passages)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    with pytest.raises(UnreadableFile):
        list(read_rows(tmp_path / "picture", INSTRUCTION, unanswered=True))
