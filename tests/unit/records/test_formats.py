"""Files of every format and form give the same examples."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cultivar_records import BadRow, Example, Format, TaskKind, UnreadableFile, detect_format, read_rows

CLASSIFICATION, INSTRUCTION = TaskKind.CLASSIFICATION, TaskKind.INSTRUCTION


def turns(example: Example | BadRow) -> list[tuple[str, str]]:
    """Gives role and content of an example's messages; fails at a bad row with its reason."""
    assert isinstance(example, Example), example
    return [(message.role, message.content) for message in example.messages]


def jsonl(path: Path, *rows: Any) -> Path:
    """Writes rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


FORMS: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": "where is it"}, {"role": "assistant", "content": "arrival"}]},
    {"messages": [{"role": "user", "content": "where is it"}], "label": "arrival"},
    {"prompt": "where is it", "completion": " arrival"},
    {"instruction": "where is it", "input": "", "output": "arrival"},
    {"instruction": "where is it", "output": "arrival"},
    {"instruction": "where", "context": "is it", "response": "arrival"},
    {"instruction": "where is it", "instances": [{"input": "", "output": "arrival"}], "is_classification": True},
    {"text": "where is it", "label": "arrival"},
    {"text": "where is it", "category": "arrival", "other": [1, {"a": None}]},
]


@pytest.mark.parametrize("row", FORMS, ids=lambda row: "-".join(row))
def test_each_form_gives_the_same_classification_example(tmp_path: Path, row: dict[str, Any]) -> None:
    (example,) = read_rows(jsonl(tmp_path / "rows", row), CLASSIFICATION, labels=["arrival"])
    text = "where\n\nis it" if "context" in row else "where is it"
    assert turns(example) == [("user", text), ("assistant", "arrival")]
    assert isinstance(example, Example) and example.label == "arrival"


@pytest.mark.parametrize("row", FORMS[:1] + FORMS[2:3] + FORMS[6:7], ids=lambda row: "-".join(row))
def test_parquet_gives_the_same_examples_as_jsonl(tmp_path: Path, row: dict[str, Any]) -> None:
    pq.write_table(pa.Table.from_pylist([row] * 150), tmp_path / "rows.csv")
    from_parquet = list(read_rows(tmp_path / "rows.csv", CLASSIFICATION))
    from_jsonl = list(read_rows(jsonl(tmp_path / "rows", *[row] * 150), CLASSIFICATION))
    assert [turns(example) for example in from_parquet] == [turns(example) for example in from_jsonl]
    lines = [example.provenance.line for example in from_parquet if isinstance(example, Example)]
    assert lines == list(range(1, 151))


@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_csv_gives_quoted_fields_with_line_breaks_whole(tmp_path: Path, separator: str) -> None:
    lines = [["text", "label"], ['"one\r\n""two"""', "a"], ["three", "b"]]
    path = tmp_path / "rows.jsonl"
    path.write_bytes("".join(separator.join(line) + "\r\n" for line in lines).encode())
    first, second = read_rows(path, CLASSIFICATION)
    assert turns(first) == [("user", 'one\r\n"two"'), ("assistant", "a")]
    assert isinstance(second, Example) and second.provenance.line == 4


def test_a_byte_order_mark_and_crlf_do_no_harm(tmp_path: Path) -> None:
    for name, body in [("a", "text,label\r\nhi é,x\r\n\r\n"), ("b", '{"text":"hi é","label":"x"}\r\n\r\n')]:
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + body.encode())
        (example,) = read_rows(tmp_path / name, CLASSIFICATION)
        assert turns(example) == [("user", "hi é"), ("assistant", "x")]


def test_the_last_line_may_lack_its_line_break(tmp_path: Path) -> None:
    (tmp_path / "a").write_text('{"text":"a","label":"x"}\n{"text":"b","label":"x"}')
    assert len([row for row in read_rows(tmp_path / "a", CLASSIFICATION) if isinstance(row, Example)]) == 2


def test_the_same_file_gives_the_same_ids_and_another_file_gives_others(tmp_path: Path) -> None:
    row = {"text": "a", "label": "x"}
    one = list(read_rows(jsonl(tmp_path / "one", row, row), CLASSIFICATION))
    copy = list(read_rows(jsonl(tmp_path / "copy", row, row), CLASSIFICATION))
    more = list(read_rows(jsonl(tmp_path / "more", row, row, row), CLASSIFICATION))
    assert one == copy
    assert len({example.id for example in [*one, *more] if isinstance(example, Example)}) == 5


def test_a_row_is_a_seed_and_its_own_family(tmp_path: Path) -> None:
    (example,) = read_rows(jsonl(tmp_path / "a", {"text": "a", "label": "x"}), CLASSIFICATION, source="digest")
    assert isinstance(example, Example)
    source = example.provenance
    assert (source.origin, source.family, source.source, source.line) == ("seed", example.id, "digest", 1)


def test_spans_and_tests_come_with_their_tasks(tmp_path: Path) -> None:
    spans = [{"start": 8, "end": 11, "label": "person"}, {"start": 0, "end": 3, "label": "person"}]
    (row,) = read_rows(jsonl(tmp_path / "a", {"text": "Ann met Bob", "spans": spans}), TaskKind.ENTITIES)
    assert turns(row)[-1] == ("assistant", "Ann = person; Bob = person")
    code = {"prompt": "add", "code": "def add(): ...", "test_list": ["assert add"]}
    (row,) = read_rows(jsonl(tmp_path / "b", code), TaskKind.CODE)
    assert isinstance(row, Example) and row.tests == ("assert add",) and row.answer == "def add(): ..."


def test_label_numbers_with_names_beside_them_become_names(tmp_path: Path) -> None:
    note = {"info": {"features": {"label": {"names": ["a", "b"], "_type": "ClassLabel"}}}}
    table = pa.table({"text": ["x", "y", "z"], "label": [1, 0, 7]}).replace_schema_metadata(
        {"huggingface": json.dumps(note)}
    )
    pq.write_table(table, tmp_path / "rows")
    labels = [row.label for row in read_rows(tmp_path / "rows", CLASSIFICATION) if isinstance(row, Example)]
    assert labels == ["b", "a", "7"]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", Format.JSONL),
        (b'\n\n {"text": 1}', Format.JSONL),
        (b'broken\n{"text": 1}', Format.JSONL),
        (b'[1, 2]\n{"text": 1}', Format.JSONL),
        (b"label,text\n", Format.CSV),
        (b'"text"\t"category"\n', Format.CSV),
    ],
)
def test_the_format_is_found_from_the_content(tmp_path: Path, body: bytes, found: Format) -> None:
    (tmp_path / "rows.parquet").write_bytes(body)
    assert detect_format(tmp_path / "rows.parquet") is found


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x1f\x8b\x08", "gzip"),
        (b"PK\x03\x04", "spreadsheet"),
        ("text,label".encode("utf-16"), "UTF-16"),
        (b'[\n  {"text": 1}\n]', "JSON array"),
        (b'[{"text": 1}]', "JSON array"),
        (b"name,age\nann,3\n", "no known columns"),
        (b"\x00\x01\x02", "no known columns"),
        (b"\xff,text,label\n", "name the columns, cannot be read. Byte 1"),
        (b"\x00,text,label\n", "name the columns, cannot be read. The line holds a NUL"),
        (b"text,label" + b"," * 2_000_000 + b"\n", "name the columns, cannot be read. The line is longer"),
        (b"PAR1 and nothing more", "damaged"),
    ],
)
def test_a_file_of_no_use_says_why(tmp_path: Path, body: bytes, reason: str) -> None:
    (tmp_path / "rows").write_bytes(body)
    with pytest.raises(UnreadableFile, match=reason):
        list(read_rows(tmp_path / "rows", CLASSIFICATION))


def test_a_parquet_file_without_known_columns_says_why(tmp_path: Path) -> None:
    pq.write_table(pa.table({"name": ["ann"]}), tmp_path / "rows")
    with pytest.raises(UnreadableFile, match="no known columns"):
        list(read_rows(tmp_path / "rows", CLASSIFICATION))


def test_real_banking77_rows_are_all_good() -> None:
    path = Path(__file__).parents[4] / "shared/data/banking77/test.csv"
    if not path.exists():
        pytest.skip("the shared data is not here")
    labels = set(json.loads((path.parent / "categories.json").read_text()))
    rows = list(read_rows(path, CLASSIFICATION, labels=labels))
    assert len(rows) == 3080
    assert {row.label for row in rows if isinstance(row, Example)} == labels
