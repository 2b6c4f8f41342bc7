"""The seeds of a run as strategies are handed them: what is looked up again in every call is worked out once."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from zlib import crc32

from cultivar_records import Example
from cultivar_texts import words

BITS = 2048


class Pool(tuple[Example, ...]):
    """Seeds in an order that stays, found by label without a search."""

    def of(self, label: str) -> "Pool":
        """Returns the seeds of a label, in order."""
        return self._by_label.get(label, Pool())

    def sketch(self, place: int) -> int:
        """Returns the sketch of the input of the seed at a place."""
        found = self._sketches.get(place)
        if found is None:
            found = self._sketches[place] = sketch(self[place].text)
        return found

    @cached_property
    def _by_label(self) -> Mapping[str, "Pool"]:
        found: dict[str, list[Example]] = {}
        for seed in self:
            found.setdefault(seed.label or "", []).append(seed)
        return {label: Pool(seeds) for label, seeds in found.items()}

    @cached_property
    def _sketches(self) -> dict[int, int]:
        return {}


def sketch(text: str) -> int:
    """Returns the distinct words of a text as the bits of a number, 256 bytes at most, however long the text is."""
    found = 0
    for word in words(text):
        # Not hash(): a run that goes on in another process must choose the same seeds.
        found |= 1 << crc32(word.encode()) % BITS
    return found


def alike(one: int, others: Sequence[int]) -> list[float]:
    """Estimates the Jaccard similarity of the words of a text and of others, given by sketches, 0 to 1 each."""
    return [(one & each).bit_count() / ((one | each).bit_count() or 1) for each in others]
