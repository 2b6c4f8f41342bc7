"""Which format a file has, found from its content; its name only breaks a tie."""

import csv
from enum import StrEnum
from pathlib import Path
from typing import Final

from cultivar_records.formats.forms import WANTED, form_of
from cultivar_records.formats.problems import UnreadableFile

_HEAD_BYTES: Final = 65_536
_BOM: Final = b"\xef\xbb\xbf"
_SEPARATORS: Final = (",", "\t", ";")
_MISTAKEN: Final = {
    b"\x1f\x8b": "The file is compressed with gzip; unpack it first.",
    b"\x28\xb5\x2f\xfd": "The file is compressed with zstd; unpack it first.",
    b"PK\x03\x04": "The file is a zip archive or a spreadsheet; unpack it, or save the sheet as CSV.",
    b"\xff\xfe": "The file is UTF-16; save it as UTF-8.",
    b"\xfe\xff": "The file is UTF-16; save it as UTF-8.",
}


class Format(StrEnum):
    """Names a file format that examples are read from."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    TEXT = "text"


def detect_format(path: Path, *, prose: bool = False) -> Format:
    """Finds the format of a file from its first 64 KiB; raises UnreadableFile where it is none of the known.

    With `prose` a file that is no table is a text; one that cannot be text is still refused.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(b"PAR1"):
        return Format.PARQUET
    for magic, sentence in _MISTAKEN.items():
        if head.startswith(magic):
            raise UnreadableFile(sentence)
    text = head.removeprefix(_BOM)
    first, _, rest = text.lstrip().partition(b"\n")
    if first[:1] in (b"{", b""):
        return Format.JSONL
    if separator_of(text.split(b"\n", 1)[0], prose) is not None:
        return Format.CSV
    if not prose and first[:1] == b"[" and not (rest and first.rstrip().endswith(b"]")):
        raise UnreadableFile("The file is one JSON array; write one JSON object a line (JSONL).")
    named_so = path.suffix.lower() in (".jsonl", ".ndjson")
    if named_so or (not prose and any(line.lstrip().startswith(b"{") for line in rest.split(b"\n"))):
        return Format.JSONL
    if prose and b"\0" not in head:
        return Format.TEXT
    raise UnreadableFile(f"The file's first line names no known columns; a table needs {WANTED}.")


def separator_of(header: bytes, inputs: bool = False) -> str | None:
    """Finds the separator under which a CSV header names the columns of a form; None if there is no such."""
    line = header.removeprefix(_BOM).decode("utf-8", "replace").rstrip("\r\n")
    return next((mark for mark in _SEPARATORS if form_of(csv_header(line, mark), inputs) is not None), None)


def csv_header(line: str, separator: str) -> list[str]:
    """Splits a CSV header into its column names, without white space around them; none where it is no CSV."""
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error:
        return []
