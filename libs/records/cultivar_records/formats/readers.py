"""Rows out of JSONL, CSV and Parquet files, a row at a time."""

import csv
import json
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from cultivar_records.formats.detection import csv_header, separator_of
from cultivar_records.formats.forms import WANTED, form_of, known_fields
from cultivar_records.formats.lines import Line, bounded_lines, decode_line
from cultivar_records.formats.problems import RowProblem, UnreadableFile

_BATCH_ROWS: Final = 64
_ROW_GROUP_BYTES: Final = 1 << 30


class Raw(NamedTuple):
    """Holds a row as the file has it, with its line; or the problem that kept it from being read."""

    line: int
    value: object


def read_jsonl(path: Path, limit: int, inputs: bool = False) -> Iterator[Raw]:
    """Reads the JSON value of each line that is not blank; each line of at most `limit` bytes."""
    with path.open("rb") as file:
        for line in bounded_lines(file, limit):
            if line.data is None or line.data.strip():
                yield Raw(line.number, _json_value(line, limit))


def _json_value(line: Line, limit: int) -> object:
    try:
        text = decode_line(line, limit)
        value: object = json.loads(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RowProblem as problem:
        return problem
    except json.JSONDecodeError as error:
        return RowProblem(f"The line is not valid JSON: {error.msg} at character {error.colno}.")
    except UnicodeEncodeError:
        return RowProblem("The line holds half of a surrogate pair, which is no character.")
    except (ValueError, RecursionError):
        return RowProblem("The line is JSON with a number too long or a nesting too deep to read.")
    return value


def read_csv(path: Path, limit: int, inputs: bool = False) -> Iterator[Raw]:
    """Reads the records of a CSV file with a header; a quoted field may hold line breaks, a record `limit` bytes.

    Raises UnreadableFile where the header names the columns of no form. A quote that is never closed costs the line
    it is on, not the rest of the file.
    """
    csv.field_size_limit(max(csv.field_size_limit(), min(limit, sys.maxsize)))
    with path.open("rb") as file:
        lines = _Lines(bounded_lines(file, limit), limit)
        header = next(iter(lines.pending()), None)
        if header is None:
            return
        separator, names = _columns(header, limit, inputs)
        while (raw := lines.record(separator, names)) is not None:
            if raw.value is not None:
                yield raw


def _columns(header: Line, limit: int, inputs: bool) -> tuple[str, list[str]]:
    try:
        text = decode_line(header, limit).rstrip("\r\n")
    except RowProblem as problem:
        raise UnreadableFile(f"The first line, which must name the columns, cannot be read. {problem}") from None
    separator = separator_of(text.encode(), inputs)
    if separator is None:
        raise UnreadableFile(f"The first line names no known columns; a table needs {WANTED}.")
    return separator, csv_header(text, separator)


class _Lines:
    """Feeds lines to the CSV parser one record at a time, and takes back those of a record that failed."""

    def __init__(self, source: Iterator[Line], limit: int) -> None:
        self._source, self._limit = source, limit
        self._returned: deque[Line] = deque()

    def pending(self) -> Iterator[Line]:
        """Gives the lines that are left, those taken back first."""
        while True:
            line = self._returned.popleft() if self._returned else next(self._source, None)
            if line is None:
                return
            yield line

    def record(self, separator: str, names: list[str]) -> Raw | None:
        """Reads one record: its fields by name, None for a blank line, or a problem; None at the end of the file."""
        taken: list[Line] = []
        try:
            fields = next(csv.reader(self._feed(taken), delimiter=separator, strict=True), None)
        except (csv.Error, RowProblem) as error:
            self._returned.extendleft(reversed(taken[1:]))
            return Raw(taken[0].number, error if isinstance(error, RowProblem) else _csv_problem(error))
        if fields is None:
            return None
        if fields and len(fields) != len(names):
            problem = RowProblem(f"The row has {len(fields)} fields, the header {len(names)}.")
            return Raw(taken[0].number, problem)
        return Raw(taken[0].number, dict(zip(names, fields, strict=True)) if fields else None)

    def _feed(self, taken: list[Line]) -> Iterator[str]:
        size = 0
        for line in self.pending():
            taken.append(line)
            size += len(line.data or b"")
            if len(taken) > 1 and size > self._limit:
                raise RowProblem(f"A quote is opened and not closed within {self._limit} bytes; close it.")
            yield decode_line(line, self._limit)


def _csv_problem(error: csv.Error) -> RowProblem:
    if "unexpected end of data" in str(error):
        return RowProblem("A quote is opened and never closed; close it.")
    return RowProblem(f"The line is not valid CSV: {error}.")


def read_parquet(path: Path, limit: int, inputs: bool = False) -> Iterator[Raw]:
    """Reads the rows of a Parquet file in small batches; only the columns that some form has.

    Raises UnreadableFile for a damaged file, for columns of no form, and for row groups of over 1 GiB.
    """
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            columns = _parquet_columns(file, inputs)
            names = _class_names(file.schema_arrow)
            values = (
                value
                for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns, use_threads=False)
                for value in _parquet_rows(batch, limit)
            )
            for line, value in enumerate(values, 1):
                yield Raw(line, _named_labels(value, names))
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile(f"The Parquet file is damaged: {str(error).splitlines()[0]}") from error


def _parquet_columns(file: pq.ParquetFile, inputs: bool) -> list[str]:
    metadata = file.metadata
    sizes = (metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    if max(sizes, default=0) > _ROW_GROUP_BYTES:
        raise UnreadableFile("A row group of the file is over 1 GiB; write it again with smaller row groups.")
    columns = file.schema_arrow.names
    if form_of(columns, inputs) is None:
        raise UnreadableFile(f"The file has no known columns; a table needs {WANTED}.")
    return known_fields(columns)


def _parquet_rows(batch: pa.RecordBatch, limit: int) -> list[Any]:
    """Gives the rows of a batch, one by one only where the batch is large or holds text that is not UTF-8."""
    try:
        if batch.get_total_buffer_size() <= limit:
            return batch.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        pass
    return [_parquet_row(batch.slice(index, 1), limit) for index in range(batch.num_rows)]


def _parquet_row(row: pa.RecordBatch, limit: int) -> object:
    if row.nbytes > limit:
        return RowProblem(f"The row is longer than {limit} bytes; shorten or split it.")
    try:
        return row.to_pylist()[0]
    except UnicodeDecodeError:
        return RowProblem("The row holds text that is not valid UTF-8.")


def _named_labels(value: object, names: Mapping[str, list[str]]) -> object:
    if isinstance(value, dict):
        for column, labels in names.items():
            index = value.get(column)
            if isinstance(index, int) and 0 <= index < len(labels):
                value[column] = labels[index]
    return value


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Reads the label names that the `datasets` library writes beside a column of label numbers."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {column: list(feature["names"]) for column, feature in features.items() if "names" in feature}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
