"""Words and the normal form: what is left of a text when only its wording counts.

Case, punctuation, white space and the many Unicode spellings of one character are folded away. What changes the
meaning stays: the decimal marks inside a number, an operator before one, currency and other symbols, emoji, and the
ends of C++ and C#. A script written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) gives a word for
each character.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_VARIATION_SELECTORS: Final = range(0xFE00, 0xFE10)


def _ranges(*categories: str) -> str:
    """Writes the characters of Unicode categories, those beyond ASCII, as ranges of a regular expression."""
    points = [
        point
        for point in range(0x80, 0x20000)
        if unicodedata.category(chr(point)) in categories and point not in _VARIATION_SELECTORS
    ]
    gaps = [(before, after) for before, after in pairwise(points) if after != before + 1]
    starts = [points[0], *(after for _, after in gaps)]
    ends = [*(before for before, _ in gaps), points[-1]]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


_LETTER: Final = rf"[^\W_{_UNSPACED}]"
_WORD: Final = re.compile(
    r"\d+(?:[.,:]\d+)+"  # 3.5, 1,000, 12:30
    rf"|{_LETTER}+(?:[{_ranges('Mn', 'Mc')}]+{_LETTER}*)*(?:(?<=[a-z])(?:\+\+|\#))?"  # a word; c++, c#
    rf"|[{_UNSPACED}]"
    r"|[-+*/^=<>](?=\ ?\d)"  # an operator before a number
    rf"|[$%{_ranges('Sm', 'Sc', 'So')}]"
)
_ASCII_WORD: Final = re.compile(r"\d+(?:[.,:]\d+)+|[a-z0-9]+(?:(?<=[a-z])(?:\+\+|\#))?|[-+*/^=<>](?=\ ?\d)|[$%]")
"""The same words of a text in ASCII, found in a third of the time."""


def words(text: str) -> list[str]:
    """Splits a text into the words of its normal form; a text of punctuation only has none."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _WORD.findall(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()))


def normal_form(text: str) -> str:
    """Folds a text to its words, one space between them; where it has none, to the text without outer white space.

    Two texts with the same normal form say the same in the same words. Folding twice changes nothing.
    """
    return " ".join(words(text)) or " ".join(unicodedata.normalize("NFKC", text).split())


def ngrams(tokens: Sequence[str], width: int) -> list[tuple[str, ...]]:
    """Lists the runs of `width` tokens, in order, repeats included; none where there are fewer tokens."""
    return list(zip(*(tokens[start:] for start in range(width)), strict=False))


def shingles(text: str, width: int = 3) -> set[str]:
    """Gives the set of runs of `width` words, each joined by spaces.

    A text of fewer words is one shingle, its whole normal form, so that short texts are alike only when they are
    equal. Raises ValueError for a width below 1.
    """
    if width < 1:
        raise ValueError("A shingle must be at least one word wide.")
    return {" ".join(run) for run in ngrams(words(text), width)} or {normal_form(text)}
