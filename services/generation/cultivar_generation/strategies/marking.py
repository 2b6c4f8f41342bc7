"""Entities written into their sentence, `I fly to [Oslo](place)`, so that a rewritten sentence says where they are.

Offsets that a model counts are wrong; marks that it copies are right or missing, and what is missing is seen.
"""

import re
from collections.abc import Iterable

from cultivar_records import Example, Span, TaskSpec, entities_answer

from cultivar_generation.strategies.protocol import Draft

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


def read_marked(text: str, task: TaskSpec, shown: Iterable[Example]) -> Draft | str:
    """Reads a sentence whose entities are marked, or returns why its marks cannot be right.

    An entity that the shown seeds mark, or the sentence itself does, is marked wherever it stands; a sentence without
    any mark is no example unless a seed is one.
    """
    seeds, (sentence, spans) = list(shown), unmark(text)
    if task.labels and any(span.label not in task.labels for span in spans):
        return "an entity has a label that the task does not have"
    if not spans and all(seed.spans for seed in seeds):
        return "no entity of the sentence is marked"
    rest = sentence
    for span in reversed(spans):
        rest = f"{rest[: span.start]}\n{rest[span.end :]}"
    known = {sentence[span.start : span.end] for span in spans}
    known |= {seed.text[span.start : span.end] for seed in seeds for span in seed.spans}
    if any(re.search(rf"(?<!\w){re.escape(surface)}(?!\w)", rest) for surface in known):
        return "an entity stands in the sentence without its mark"
    if not sentence.strip():
        return "an item of the list is empty"
    return Draft(sentence, entities_answer(sentence, spans), spans=spans)


def escape(text: str) -> str:
    """Returns a text whose brackets and backslashes are no marks."""
    return ESCAPED.sub(r"\\\1", text)


def unescape(text: str) -> str:
    """Undoes `escape`."""
    return re.sub(r"\\([\\\[\]])", r"\1", text)
