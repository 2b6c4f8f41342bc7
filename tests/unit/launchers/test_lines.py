"""Lines come out whole however the pipe cuts them, and never longer than allowed."""

import asyncio

from cultivar_launchers.lines import read_lines
from hypothesis import given
from hypothesis import strategies as st


class _Chunks(asyncio.StreamReader):
    """Gives exactly the chunks it was made of."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._left = [chunk for chunk in chunks if chunk]

    async def read(self, n: int = -1) -> bytes:
        return self._left.pop(0) if self._left else b""


def _read(chunks: list[bytes], max_line: int = 1 << 20) -> list[str]:
    async def read() -> list[str]:
        return [line async for line in read_lines(_Chunks(chunks), max_line)]

    return asyncio.run(read())


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))), st.data())
def test_lines_do_not_depend_on_where_the_pipe_cuts(lines: list[str], data: st.DataObject) -> None:
    whole = "".join(f"{line}\n" for line in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert _read(chunks) == lines


@given(st.lists(st.binary(max_size=20), max_size=8), st.integers(1, 10))
def test_no_line_is_longer_than_allowed(chunks: list[bytes], max_line: int) -> None:
    lines = _read(chunks, max_line)
    whole = b"".join(chunks)
    assert all(len(line) <= max_line for line in lines)
    assert len(lines) == whole.count(b"\n") + (not whole.endswith(b"\n") and bool(whole))


def test_the_line_after_one_that_is_too_long_is_whole() -> None:
    assert _read([b"x" * 100, b"y\n", b"ab", b"c\n"], max_line=5) == ["xxxxx", "abc"]


def test_a_last_line_without_its_end_counts() -> None:
    assert _read([b"one\r\ntw", b"o"]) == ["one", "two"]


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert _read([b"a\xffb\n"]) == ["a\ufffdb"]
