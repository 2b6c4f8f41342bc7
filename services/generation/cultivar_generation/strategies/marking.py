"""Entities written into their sentence, `I fly to [Oslo](place)`, so that a rewritten sentence says where they are.

Offsets that a model counts are wrong; marks that it copies are right or missing, and what is missing is seen.
"""

import re
from collections.abc import Iterable

from cultivar_records import Span

ESCAPED = re.compile(r"([\\\[\]])")
MARK = re.compile(r"\[((?:\\.|[^\\\[\]])+)\]\(([^()\n]{1,100})\)|\\([\\\[\]])")


def mark(text: str, spans: Iterable[Span]) -> str:
    """Writes spans into their text as `[surface](label)`; brackets and backslashes of the text are escaped.

    Of spans that overlap the first is written.
    """
    parts, at = [], 0
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if span.start >= at:
            surface = escape(text[span.start : span.end])
            parts += [escape(text[at : span.start]), f"[{surface}]({span.label})"]
            at = span.end
    return "".join([*parts, escape(text[at:])])


def unmark(marked: str) -> tuple[str, tuple[Span, ...]]:
    """Reads a text and its spans out of a marked text; a bracket that is no part of a mark stays as it is."""
    text, spans, at = "", [], 0
    for match in MARK.finditer(marked):
        text += marked[at : match.start()]
        surface = unescape(match.group(1)) if match.group(1) else match.group(3)
        if match.group(1):
            spans.append(Span(start=len(text), end=len(text) + len(surface), label=match.group(2).strip() or "?"))
        text += surface
        at = match.end()
    return text + marked[at:], tuple(spans)


def escape(text: str) -> str:
    """Returns a text whose brackets and backslashes are no marks."""
    return ESCAPED.sub(r"\\\1", text)


def unescape(text: str) -> str:
    """Undoes `escape`."""
    return re.sub(r"\\([\\\[\]])", r"\1", text)
