"""Passages out of text and Markdown files: paragraphs joined up to a length, a longer one cut where a sentence ends."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cultivar_records.formats.lines import bounded_lines, decode_line
from cultivar_records.formats.problems import RowProblem
from cultivar_records.formats.readers import Raw

PASSAGE_CHARACTERS: Final = 1500
_SENTENCE: Final = re.compile(r"(?<=[.!?。！？])\s+")


def read_text(path: Path, limit: int, inputs: bool = True) -> Iterator[Raw]:
    """Reads the passages of a text, each a row of one field `text`, with the line that it begins on.

    A blank line ends a paragraph, and a heading of Markdown begins a passage. A passage has up to 1500 characters.
    """
    passage, begins = "", 0
    for line, paragraph in _paragraphs(path, limit):
        if isinstance(paragraph, RowProblem):
            yield Raw(line, paragraph)
            continue
        for piece in _pieces(paragraph):
            whole = f"{passage}\n\n{piece}" if passage else piece
            if passage and (len(whole) > PASSAGE_CHARACTERS or piece.startswith("#")):
                yield Raw(begins, {"text": passage})
                passage, begins = piece, line
            else:
                passage, begins = whole, begins or line
    if passage:
        yield Raw(begins, {"text": passage})


def _paragraphs(path: Path, limit: int) -> Iterator[tuple[int, str | RowProblem]]:
    lines: list[str] = []
    begins = 0
    with path.open("rb") as file:
        for line in bounded_lines(file, limit):
            try:
                text = decode_line(line, limit).rstrip()
            except RowProblem as problem:
                yield line.number, problem
                continue
            if text.strip():
                begins = begins if lines else line.number
                lines.append(text)
            # A paragraph without an end is ended, so that memory is bounded.
            if lines and (not text.strip() or sum(map(len, lines)) > limit):
                yield begins, "\n".join(lines)
                lines = []
    if lines:
        yield begins, "\n".join(lines)


def _pieces(paragraph: str) -> Iterator[str]:
    """Cuts a paragraph that is too long at the ends of sentences, and a sentence that is too long at its length."""
    piece = ""
    for sentence in _SENTENCE.split(paragraph) if len(paragraph) > PASSAGE_CHARACTERS else (paragraph,):
        for start in range(0, len(sentence), PASSAGE_CHARACTERS):
            part = sentence[start : start + PASSAGE_CHARACTERS]
            if piece and len(piece) + 1 + len(part) > PASSAGE_CHARACTERS:
                yield piece
                piece = part
            else:
                piece = f"{piece} {part}" if piece else part
    if piece:
        yield piece
