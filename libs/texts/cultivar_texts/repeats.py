"""How much a text repeats itself: the measures and limits of Gopher.

Rae et al. (2021), "Scaling Language Models: Methods, Analysis & Insights from Training Gopher" (arXiv 2112.11446),
appendix A.1, table A1. Three choices where the paper leaves room: of what repeats, the first occurrence is not
counted; a character is counted once, however many n-grams cover it; and an n-gram that occurs once is no repetition,
so that a short text is not called repetitive for being short.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cultivar_texts.words import ngrams, words

GOPHER_LIMITS: Final[Mapping[str, float]] = {
    "duplicate_lines": 0.30,
    "duplicate_line_characters": 0.20,
    "duplicate_paragraphs": 0.30,
    "duplicate_paragraph_characters": 0.20,
    "top_2_gram_characters": 0.20,
    "top_3_gram_characters": 0.18,
    "top_4_gram_characters": 0.16,
    "duplicate_5_gram_characters": 0.15,
    "duplicate_6_gram_characters": 0.14,
    "duplicate_7_gram_characters": 0.13,
    "duplicate_8_gram_characters": 0.12,
    "duplicate_9_gram_characters": 0.11,
    "duplicate_10_gram_characters": 0.10,
}
"""The share, from 0 to 1, above which Gopher leaves a text out."""

_TOP_WIDTHS: Final = range(2, 5)
_DUPLICATE_WIDTHS: Final = range(5, 11)

_Gram = tuple[str, ...]


def repetition(text: str) -> dict[str, float]:
    """Computes each measure of `GOPHER_LIMITS`, from 0 to 1; the n-grams are of the normal form's words."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    paragraphs = _paragraphs(text)
    tokens = words(text)
    return {
        "duplicate_lines": _share(lines, lambda _: 1),
        "duplicate_line_characters": _share(lines, len),
        "duplicate_paragraphs": _share(paragraphs, lambda _: 1),
        "duplicate_paragraph_characters": _share(paragraphs, len),
        **{f"top_{width}_gram_characters": _top(tokens, width) for width in _TOP_WIDTHS},
        **{f"duplicate_{width}_gram_characters": _duplicate(tokens, width) for width in _DUPLICATE_WIDTHS},
    }


def exceeded(measures: Mapping[str, float], limits: Mapping[str, float] = GOPHER_LIMITS) -> list[str]:
    """Names the measures that are above their limit, in the order of the limits."""
    return [name for name, limit in limits.items() if measures[name] > limit]


def _paragraphs(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    blocks = "\n".join(lines).split("\n\n")
    return [block.strip() for block in blocks if block.strip()]


def _share(parts: Sequence[str], weight: Callable[[str], int]) -> float:
    whole = sum(weight(part) for part in parts)
    return 1 - sum(weight(part) for part in set(parts)) / whole if whole else 0.0


def _top(tokens: Sequence[str], width: int) -> float:
    grams = ngrams(tokens, width)
    counts = Counter(grams)
    repeated = [gram for gram, count in counts.items() if count > 1]
    if not repeated:
        return 0.0
    top = max(repeated, key=lambda gram: (counts[gram], sum(map(len, gram)), gram))
    return _covered(tokens, width, [place for place, gram in enumerate(grams) if gram == top])


def _duplicate(tokens: Sequence[str], width: int) -> float:
    seen: set[_Gram] = set()
    places = []
    for place, gram in enumerate(ngrams(tokens, width)):
        if gram in seen:
            places.append(place)
        seen.add(gram)
    return _covered(tokens, width, places)


def _covered(tokens: Sequence[str], width: int, places: Sequence[int]) -> float:
    """Computes the share of the words' characters that the n-grams at some places cover."""
    covered = {place + offset for place in places for offset in range(width)}
    return sum(len(tokens[place]) for place in covered) / sum(map(len, tokens)) if covered else 0.0
