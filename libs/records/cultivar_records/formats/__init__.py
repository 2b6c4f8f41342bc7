"""Examples out of files that people bring: JSONL, CSV and Parquet, in four forms.

Format and form are found from the content. A bad row is reported with its line and the rest goes on.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from cultivar_records.examples import Example
from cultivar_records.formats.detection import Format, detect_format
from cultivar_records.formats.forms import RowReader
from cultivar_records.formats.passages import read_text
from cultivar_records.formats.problems import BadRow, RowProblem, UnreadableFile
from cultivar_records.formats.readers import Raw, read_csv, read_jsonl, read_parquet
from cultivar_records.tasks import TaskKind

__all__ = ["MAX_ROW_BYTES", "BadRow", "Format", "UnreadableFile", "detect_format", "file_digest", "read_rows"]

MAX_ROW_BYTES: Final = 1 << 20

_READERS: Final[Mapping[Format, Callable[[Path, int, bool], Iterator[Raw]]]] = {
    Format.JSONL: read_jsonl,
    Format.CSV: read_csv,
    Format.PARQUET: read_parquet,
    Format.TEXT: read_text,
}


def read_rows(
    path: Path,
    task: TaskKind,
    *,
    labels: Collection[str] | None = None,
    source: str | None = None,
    max_row_bytes: int = MAX_ROW_BYTES,
    unanswered: bool = False,
) -> Iterator[Example | BadRow]:
    """Reads a file's rows as seeds of a task, each its own family; a row that is none comes as a BadRow.

    `labels` are those that the task knows (None: any). `source` is the file's SHA-256 in hex, computed when not
    given; it and the line make the ids, so the same file always gives the same ones. The file is streamed: memory
    stays within a few times `max_row_bytes`, for Parquet within a page of each column. With `unanswered` a row may hold
    an input alone (instruction, prompt, question, text or problem), and a file that is no table is a text, whose
    passages are the inputs; the answers are empty. Raises UnreadableFile where no row can be read.
    """
    reader = RowReader(task, labels, source or file_digest(path), unanswered)
    for raw in _READERS[detect_format(path, prose=unanswered)](path, max_row_bytes, unanswered):
        yield _row(reader, raw)


def file_digest(path: Path) -> str:
    """Computes the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _row(reader: RowReader, raw: Raw) -> Example | BadRow:
    if isinstance(raw.value, RowProblem):
        return BadRow(raw.line, str(raw.value))
    try:
        return reader.example(raw.line, raw.value)
    except RowProblem as problem:
        return BadRow(raw.line, str(problem))
