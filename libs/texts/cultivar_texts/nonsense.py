"""Whether a text looks like writing at all: shares of letters and known characters, word length, vowels, entropy."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

from cultivar_texts.words import normal_form, words

GOPHER_WORD_LENGTH: Final = (3.0, 10.0)
"""The mean word length, in characters, outside which Gopher leaves an English text out (arXiv 2112.11446, A.1)."""

_UNKNOWN: Final = frozenset({"Cc", "Cn", "Co", "Cs"})
_WHITE_SPACE: Final = frozenset("\t\n\r")
_LATIN_WORD: Final = re.compile(r"\b[a-z]{5,}\b")
_VOWEL: Final = re.compile(r"[aeiouy]")


@dataclass(frozen=True, slots=True)
class Legibility:
    """Holds the measures of one text; an empty text has zeros, and `known` 1.

    - `letters`: share, of the characters that are no white space, that are letters or marks on them
    - `known`: share of all characters that are assigned and printable: no controls, no replacement character
    - `word_length`: mean length of the normal form's words, in characters
    - `vowelless`: share of plain Latin lower-case words of five letters or more that have no vowel; y is one
    - `longest_run`: longest run of one character that is no white space
    - `entropy`: Shannon entropy of the characters, in bits
    """

    letters: float
    known: float
    word_length: float
    vowelless: float
    longest_run: int
    entropy: float


def legibility(text: str) -> Legibility:
    """Measures how much a text looks like writing, in any script (`vowelless` says something of Latin script only)."""
    visible = [character for character in text if not character.isspace()]
    tokens = words(text)
    latin = _LATIN_WORD.findall(text)
    return Legibility(
        letters=_mean(unicodedata.category(character)[0] in "LM" for character in visible),
        known=_mean(_is_known(character) for character in text) if text else 1.0,
        word_length=_mean(map(len, tokens)),
        vowelless=_mean(not _VOWEL.search(word) for word in latin),
        longest_run=max((len(list(run)) for character, run in groupby(text) if not character.isspace()), default=0),
        entropy=_entropy(text),
    )


class CharacterModel:
    """Learns which characters follow which from the texts of a project, and says how surprising another text is.

    There is no built-in language: what it was fitted on, the seeds, sets the language and the style, so the limit is
    to be set from texts of the same kind. Character bigrams, each interpolated with the single character's share
    (Jelinek and Mercer, 1980) in proportion to how rarely its first character was seen.
    """

    _WEIGHT: Final = 5.0

    def __init__(self, texts: Iterable[str]) -> None:
        """Counts the characters of texts' normal forms; raises ValueError where there is not one text."""
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._firsts: Counter[str] = Counter()
        self._singles: Counter[str] = Counter()
        fitted = 0
        for text in texts:
            characters = _framed(text)
            self._pairs.update(pairwise(characters))
            self._firsts.update(characters[:-1])
            self._singles.update(characters[1:])
            fitted += 1
        if not fitted:
            raise ValueError("A character model needs at least one text to learn from.")
        self._whole = self._singles.total() + len(self._singles) + 1

    def surprise(self, text: str) -> float:
        """Computes the mean information of a text's characters, in bits.

        Fitted on 100 short English texts it is about 3 for others of their kind and nearly 7 for random letters.
        """
        characters = _framed(text)
        return _mean(self._bits(*pair) for pair in pairwise(characters))

    def _bits(self, first: str, second: str) -> float:
        single = (self._singles[second] + 1) / self._whole
        pair = (self._pairs[first, second] + self._WEIGHT * single) / (self._firsts[first] + self._WEIGHT)
        return -math.log2(pair)


def _framed(text: str) -> str:
    return f" {normal_form(text)} "


def _is_known(character: str) -> bool:
    if character in _WHITE_SPACE:
        return True
    return character != "\ufffd" and unicodedata.category(character) not in _UNKNOWN


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else 0.0


def _entropy(text: str) -> float:
    counts = Counter(text)
    return sum(count / len(text) * math.log2(len(text) / count) for count in counts.values())
