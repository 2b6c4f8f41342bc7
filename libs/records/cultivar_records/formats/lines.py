"""Lines of a file, read so that no line, however long, is held in memory."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from cultivar_records.formats.problems import RowProblem

_BOM = "\ufeff"


class Line(NamedTuple):
    """Holds a line's number, from 1, and its bytes with the line break; None for a line over the limit."""

    number: int
    data: bytes | None


def bounded_lines(stream: BinaryIO, limit: int) -> Iterator[Line]:
    """Reads lines of at most `limit` bytes; a longer one is skipped in pieces and given as None."""
    number = 0
    while data := stream.readline(limit + 2):
        number += 1
        if len(data.rstrip(b"\r\n")) <= limit:
            yield Line(number, data)
            continue
        while not data.endswith(b"\n") and (data := stream.readline(limit + 2)):
            pass
        yield Line(number, None)


def decode_line(line: Line, limit: int) -> str:
    """Decodes a line, without a byte-order mark; raises RowProblem where it is too long, not UTF-8 or holds NUL."""
    if line.data is None:
        raise RowProblem(f"The line is longer than {limit} bytes; shorten or split it.")
    try:
        text = line.data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RowProblem(f"Byte {error.start + 1} of the line is not valid UTF-8; save the file as UTF-8.") from None
    if "\0" in text:
        raise RowProblem("The line holds a NUL byte; remove it.")
    return text.removeprefix(_BOM)
