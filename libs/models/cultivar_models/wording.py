"""What of a model's words is its answer: without thoughts, and in characters that every store takes."""

import re
from collections.abc import Sequence

_NO_CHARACTER = re.compile("[\x00\ud800-\udfff]")
_NAMES = "think|thinking|thought|reasoning|reflection"
_OPENED = re.compile(rf"\s*<({_NAMES})>", re.IGNORECASE)
_CLOSED = re.compile(rf"</({_NAMES})>\s*", re.IGNORECASE)


def storable(text: str) -> str:
    """Returns a text with U+FFFD for each NUL and each half of a surrogate pair, which databases and UTF-8 refuse."""
    return _NO_CHARACTER.sub("\ufffd", text)


def without_thoughts(text: str) -> str:
    """Returns what follows the thoughts that a model puts before its answer; empty where they did not come to an end.

    A chat template may have opened the thoughts, so that only their end stands in the text.
    """
    opened = _OPENED.match(text)
    for closed in _CLOSED.finditer(text):
        begun = f"<{closed[1]}>".lower() in text[: closed.start()].lower()
        if begun if opened is None else closed[1].lower() != opened[1].lower():
            continue
        return without_thoughts(text[closed.end() :])
    return "" if opened else text


def before_stop(text: str, stops: Sequence[str]) -> str:
    """Returns what stands before the first of some texts, for servers that go on after them."""
    found = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return text[: min(found, default=len(text))]
