"""Vectors for texts: words in hashed places, so that texts which share words, or use like ones, lie near."""

import hashlib
import math
import re
from functools import lru_cache

from cultivar_models.fake.wording import meaning

WIDTH = 64

_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """Returns the words of a text in lower case, without punctuation and underscores."""
    return _WORD.findall(text.lower())


def embedding(text: str) -> list[float]:
    """Returns the text's vector: 64 numbers, length 1; a text without a word gets the first axis."""
    vector = [0.0] * WIDTH
    for word in words(text):
        for place, weight in _places(word):
            vector[place] += weight
    length = math.sqrt(sum(number * number for number in vector))
    if not length:
        return [1.0] + [0.0] * (WIDTH - 1)
    return [number / length for number in vector]


def similarity(one: list[float], other: list[float]) -> float:
    """Returns the cosine of two vectors of length 1."""
    return sum(a * b for a, b in zip(one, other, strict=True))


@lru_cache(maxsize=65_536)
def _places(word: str) -> tuple[tuple[int, float], ...]:
    like, weight = meaning(word)
    digest = hashlib.blake2b(like.encode(), digest_size=4).digest()
    # Two places a word: with 64 of them, two words that share one are then still told apart by the other.
    return tuple((digest[at] % WIDTH, weight if digest[at + 2] & 1 else -weight) for at in (0, 1))
