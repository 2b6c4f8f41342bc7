"""How pairs of prefix and continuation are put into requests."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_PROMPTS = 64
MOST_CHARACTERS = 64_000

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Batch:
    """Holds the pairs of one request: their places among all pairs, and the pairs."""

    places: tuple[int, ...]
    pairs: tuple[Pair, ...]

    @property
    def prompts(self) -> list[str]:
        """The texts to score, prefix and continuation joined."""
        return [prefix + continuation for prefix, continuation in self.pairs]

    @property
    def prefix_lengths(self) -> list[int]:
        """The characters of each prefix."""
        return [len(prefix) for prefix, _ in self.pairs]


def batches(pairs: Sequence[Pair]) -> Iterator[Batch]:
    """Yields the pairs in batches of 64 prompts and 64,000 characters at most (a longer pair goes alone).

    They are sorted by prefix, so that prompts which begin alike meet in one request and a server reads that part once.
    Raises ValueError for an empty continuation.
    """
    places: list[int] = []
    size = 0
    for place in sorted(range(len(pairs)), key=lambda at: pairs[at]):
        prefix, continuation = pairs[place]
        if not continuation:
            raise ValueError(f"pair {place} has an empty continuation; give the text to score")
        length = len(prefix) + len(continuation)
        if places and (len(places) == MOST_PROMPTS or size + length > MOST_CHARACTERS):
            yield _batch(pairs, places)
            places, size = [], 0
        places.append(place)
        size += length
    if places:
        yield _batch(pairs, places)


def _batch(pairs: Sequence[Pair], places: list[int]) -> Batch:
    return Batch(tuple(places), tuple(pairs[place] for place in places))
