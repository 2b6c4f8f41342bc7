"""Reads lines of bounded length from a pipe."""

import asyncio
from collections.abc import AsyncIterator

MAX_LINE = 1 << 20
_CHUNK = 1 << 16


async def read_lines(stream: asyncio.StreamReader, max_line: int = MAX_LINE) -> AsyncIterator[str]:
    """Yields the stream's lines without their ends; what lies beyond `max_line` bytes of a line is dropped.

    Bytes that are not UTF-8 are replaced. The last line may lack its end.
    """
    pending = bytearray()
    while chunk := await stream.read(_CHUNK):
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            _extend(pending, part, max_line)
            yield _text(pending)
            pending.clear()
        _extend(pending, rest, max_line)
    if pending:
        yield _text(pending)


def _extend(pending: bytearray, part: bytes, max_line: int) -> None:
    pending += part[: max_line - len(pending)]


def _text(line: bytearray) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")
