"""A bad row is reported with its line and its reason, and the rest goes on."""

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cultivar_records import BadRow, Example, TaskKind, UnreadableFile, read_rows
from hypothesis import given, settings
from hypothesis import strategies as st

GOOD = b'{"text": "where is it", "label": "arrival"}'
LABELS = ["arrival", "refund"]
CLASSIFICATION = TaskKind.CLASSIFICATION


def around(tmp_path: Path, line: bytes, task: TaskKind = CLASSIFICATION, **options: Any) -> str:
    """Reads a line between two good ones and gives its reason; fails where a good one is lost."""
    good = GOOD
    if task is not CLASSIFICATION:
        good = b'{"prompt": "a", "completion": "b"}'
    path = tmp_path / "rows.jsonl"
    path.write_bytes(good + b"\n" + line + b"\n" + good + b"\n")
    first, bad, last = read_rows(path, task, **options)
    assert isinstance(first, Example) and isinstance(last, Example)
    assert last.provenance.line == 3
    assert isinstance(bad, BadRow) and bad.line == 2, bad
    return bad.reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "a", "label"', "not valid JSON"),
        (b'{"text": "\xff", "label": "arrival"}', "Byte 11 of the line is not valid UTF-8"),
        (b'{"text": "a\x00b", "label": "arrival"}', "NUL byte"),
        (b'{"text": "a\\u0000b", "label": "arrival"}', "NUL character"),
        (b'{"text": "\\ud800", "label": "arrival"}', "surrogate"),
        (b'{"text": "a", "label": "\\uD800"}', "surrogate"),
        (b'{"text": ' + b"[" * 100_000 + b"}", "nesting too deep"),
        (b'{"text": ' + b"9" * 10_000 + b"}", "number too long"),
        (b"[1, 2]", "not an object"),
        (b'"text"', "not an object"),
        (b"null", "not an object"),
        (b'{"text": "a"}', "field is missing"),
        (b'{"text": null, "label": "arrival"}', "field is missing"),
        (b'{"text": "", "label": "arrival"}', "message 1 .user. is empty"),
        (b'{"text": " \\n\\t", "label": "arrival"}', "message 1 .user. is empty"),
        (b'{"text": 3, "label": "arrival"}', "'text' must be text"),
        (b'{"text": "a", "label": ""}', "label is missing or empty"),
        (b'{"text": "a", "label": [1]}', "'label' must be text"),
        (b'{"text": "a", "label": true}', "'label' must be text"),
        (b'{"text": "a", "label": "arrivals"}', "none of the 2 labels of the task; the nearest is 'arrival'"),
        (b'{"text": "a", "label": "zzz"}', "none of the 2 labels of the task."),
        (b'{"messages": []}', "must be a list of messages"),
        (b'{"messages": "hi"}', "must be a list of messages"),
        (b'{"messages": [{"role": "user"}]}', "Message 1 must have a role and a content"),
        (b'{"messages": [{"role": "tool", "content": "a"}]}', "role of message 1"),
        (b'{"messages": [{"role": "assistant", "content": "arrival"}]}', "no message of the user"),
        (
            b'{"messages": [{"role":"user","content":"a"},{"role":"assistant","content":"refund"}],"label":"arrival"}',
            "label differs from the last message",
        ),
    ],
)
def test_a_bad_line_costs_only_itself(tmp_path: Path, line: bytes, reason: str) -> None:
    found = around(tmp_path, line, labels=LABELS)
    assert re.search(reason, found), found
    assert found.endswith(".")


@pytest.mark.parametrize(
    ("task", "row", "reason"),
    [
        (TaskKind.INSTRUCTION, {"text": "a", "label": "b"}, "no answer"),
        (
            TaskKind.ENTITIES,
            {"text": "ab", "spans": [{"start": 0, "end": 3, "label": "x"}]},
            "after the end of the text",
        ),
        (TaskKind.ENTITIES, {"text": "ab", "spans": [{"start": 1, "end": 1, "label": "x"}]}, "end after its start"),
        (TaskKind.ENTITIES, {"text": "ab", "spans": [{"start": "0", "end": 1, "label": "x"}]}, "start"),
        (TaskKind.INSTRUCTION, {"instruction": "a", "instances": []}, "'instances' must be a list of input and output"),
        (TaskKind.INSTRUCTION, {"instruction": "a", "instances": [{"input": "b"}]}, "has no output"),
        (TaskKind.ENTITIES, {"text": "ab", "spans": "x"}, "'spans' must be a list"),
        (TaskKind.CODE, {"prompt": "a", "completion": "b", "tests": [1]}, "'tests' must be a list of texts"),
    ],
)
def test_a_row_that_lacks_what_its_task_needs_is_bad(
    tmp_path: Path, task: TaskKind, row: dict[str, Any], reason: str
) -> None:
    assert reason in around(tmp_path, json.dumps(row).encode(), task)


def test_an_unknown_span_label_is_bad(tmp_path: Path) -> None:
    row = {"text": "ab", "spans": [{"start": 0, "end": 1, "label": "persn"}]}
    assert "'person'" in around(tmp_path, json.dumps(row).encode(), TaskKind.ENTITIES, labels=["person"])


def test_a_reason_never_quotes_the_row(tmp_path: Path) -> None:
    secret = "4929123412341234"
    for row in ({"text": secret, "label": secret}, {secret: 1}, {"messages": [{"role": secret, "content": secret}]}):
        assert secret not in around(tmp_path, json.dumps(row).encode(), labels=LABELS)


def test_a_line_over_the_limit_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as file:
        file.write(GOOD + b"\n")
        file.truncate(file.tell() + 50_000_000)
        file.seek(0, 2)
        file.write(b"\n" + GOOD + b"\n")
    tracemalloc.start()
    rows = list(read_rows(path, CLASSIFICATION, source="digest"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(row) for row in rows] == [Example, BadRow, Example]
    assert rows[1] == BadRow(2, "The line is longer than 1048576 bytes; shorten or split it.")
    assert peak < 10_000_000


def test_a_line_of_just_the_limit_is_read(tmp_path: Path) -> None:
    for ending in (b"\n", b"\r\n", b""):
        (tmp_path / "rows").write_bytes(GOOD + ending)
        (row,) = read_rows(tmp_path / "rows", CLASSIFICATION, max_row_bytes=len(GOOD))
        assert isinstance(row, Example)
        (row,) = read_rows(tmp_path / "rows", CLASSIFICATION, max_row_bytes=len(GOOD) - 1)
        assert isinstance(row, BadRow)


@pytest.mark.parametrize(
    ("body", "bad"),
    [
        (b'text,label\na,x\n"b,x\nc,x\nd,x\n', [(3, "never closed")]),
        (b'text,label\na,x\n"b"b,x\nc,x\n', [(3, "not valid CSV")]),
        (b"text,label\na,x\nb\nc,x,y\nd,x\n", [(3, "1 fields, the header 2"), (4, "3 fields, the header 2")]),
        (b"text,label\na,x\n\xff,x\nb\x00,x\n", [(3, "UTF-8"), (4, "NUL")]),
        (b"text,label\n,x\na,\n", [(2, "empty"), (3, "label is missing")]),
        (b"text,label\n" + b"a" * 200 + b",x\nb,x\n", [(2, "longer than 100 bytes")]),
        (b'text,label\n"a,x\n' + b"b,x\n" * 40, [(2, "not closed within 100 bytes")]),
    ],
)
def test_a_bad_csv_record_costs_only_itself(tmp_path: Path, body: bytes, bad: list[tuple[int, str]]) -> None:
    (tmp_path / "rows").write_bytes(body)
    rows = list(read_rows(tmp_path / "rows", CLASSIFICATION, max_row_bytes=100))
    found = [row for row in rows if isinstance(row, BadRow)]
    assert [row.line for row in found] == [line for line, _ in bad]
    assert all(reason in row.reason for row, (_, reason) in zip(found, bad, strict=True)), found
    assert len(rows) == body.rstrip(b"\n").count(b"\n")


def test_a_field_of_more_than_the_csv_modules_own_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"text,label\n" + b"a" * 500_000 + b",x\n")
    (row,) = read_rows(tmp_path / "rows", CLASSIFICATION)
    assert isinstance(row, Example) and len(row.text) == 500_000


def test_a_bad_parquet_row_costs_only_itself(tmp_path: Path) -> None:
    texts = pa.array([b"good", b"\xff\xfe", None, b"x" * 2000, b"good"]).cast(pa.string(), safe=False)
    if texts.null_count != 1:
        pytest.fail("the test's own rows are wrong")
    pq.write_table(pa.table({"text": texts, "label": ["a"] * 5}), tmp_path / "rows")
    rows = list(read_rows(tmp_path / "rows", CLASSIFICATION, max_row_bytes=1000))
    reasons = [row.reason if isinstance(row, BadRow) else "" for row in rows]
    assert [bool(reason) for reason in reasons] == [False, True, True, True, False]
    assert "UTF-8" in reasons[1] and "missing" in reasons[2] and "longer than 1000" in reasons[3]


def test_a_parquet_file_cut_short_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"] * 1000, "label": ["b"] * 1000}), tmp_path / "rows")
    body = (tmp_path / "rows").read_bytes()
    (tmp_path / "rows").write_bytes(body[: len(body) // 2])
    with pytest.raises(UnreadableFile, match="damaged"):
        list(read_rows(tmp_path / "rows", CLASSIFICATION))


PIECES = [b"\n", b"\r", b'"', b",", b"\\", b"\xff", b"\x00", b"{", b"}", GOOD, b"text,label\n", b"a", "é".encode()]


@settings(deadline=None)
@given(body=st.lists(st.sampled_from(PIECES)).map(b"".join), limit=st.integers(1, 200))
def test_no_bytes_break_the_reader_and_no_line_comes_twice(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, limit: int
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "rows"
    path.write_bytes(body)
    try:
        rows = list(read_rows(path, CLASSIFICATION, max_row_bytes=limit))
    except UnreadableFile:
        return
    lines = [row.line if isinstance(row, BadRow) else row.provenance.line for row in rows]
    assert lines == sorted(set(lines))


@settings(deadline=None)
@given(rows=st.lists(st.sampled_from([GOOD, b"broken", b"{}", b'{"text": "\xff"}']), max_size=30))
def test_every_line_of_a_json_file_comes_out_once(tmp_path_factory: pytest.TempPathFactory, rows: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "rows.jsonl"
    path.write_bytes(b"".join(row + b"\n" for row in rows))
    found = list(read_rows(path, CLASSIFICATION))
    assert [isinstance(row, Example) for row in found] == [row == GOOD for row in rows]
