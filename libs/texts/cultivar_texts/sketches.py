"""MinHash sketches of texts, cut into bands: texts that share a band are worth comparing.

Broder (1997), "On the resemblance and containment of documents": two sets agree in one MinHash value with the
probability of their Jaccard similarity J. With bands of r values, b of them, they share at least one whole band with
probability 1 - (1 - J^r)^b (Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

Keys = npt.NDArray[np.uint64]

_VALUES: Final = 128
_SEED: Final = 1
_CERTAINTY: Final = 0.995
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_SHIFT: Final = np.uint64(29)


@dataclass(frozen=True, slots=True)
class Bands:
    """Says how a sketch is cut: `number` bands of `rows` values."""

    number: int
    rows: int

    @classmethod
    def for_threshold(cls, threshold: float) -> "Bands":
        """Finds the widest bands under which a pair just at the threshold is compared in 995 cases of 1000.

        Below a threshold of about 0.04 even the narrowest bands find fewer. Raises ValueError for a threshold that is
        not above 0 and at most 1.
        """
        if not 0 < threshold <= 1:
            raise ValueError("A threshold of similarity must be above 0 and at most 1.")
        fits = (cls(_VALUES // rows, rows) for rows in range(_VALUES, 0, -1))
        return next((bands for bands in fits if bands.chance(threshold) >= _CERTAINTY), cls(_VALUES, 1))

    def chance(self, similarity: float) -> float:
        """Computes the probability that two texts of this similarity share a band."""
        return float(1 - (1 - similarity**self.rows) ** self.number)


@dataclass(frozen=True, slots=True)
class Sketches:
    """Holds the band keys of some texts, shape (texts, bands), and each text's word runs as packed 64-bit hashes.

    A run that a text repeats is packed as often; `unpack` gives the set.
    """

    keys: Keys
    runs: list[bytes]


def sketch(texts: Sequence[Sequence[str]], bands: Bands, width: int) -> Sketches:
    """Computes the sketches of texts, given as words, from their runs of `width` words; each has at least `width`."""
    runs, bounds = _runs(texts, width)
    values = bands.number * bands.rows
    rows = RMinHash.digest_matrix_from_flat_token_hashes(runs, bounds.astype(np.uint64), values, _SEED).to_rows()
    matrix = np.array(rows, dtype=np.uint32).reshape(len(texts), bands.number, bands.rows)
    keys = np.broadcast_to(np.arange(bands.number, dtype=np.uint64) * _MIX, matrix.shape[:2])
    for row in range(bands.rows):
        keys = _mix(keys, matrix[:, :, row].astype(np.uint64))
    packed = runs.tobytes()
    return Sketches(keys, [packed[start * 8 : end * 8] for start, end in pairwise(bounds.tolist())])


def unpack(runs: bytes) -> set[int]:
    """Gives the set of hashes that were packed."""
    return set(memoryview(runs).cast("Q"))


def _runs(texts: Sequence[Sequence[str]], width: int) -> tuple[Keys, npt.NDArray[np.int64]]:
    """Hashes the word runs of all texts, one text after the other, and gives where each text's begin and end."""
    words: list[list[int]] = RMinHash.hash_token_sets(texts)
    counts = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    flat = np.fromiter(chain.from_iterable(words), dtype=np.uint64, count=int(counts.sum()))
    to_the_end = np.repeat(np.cumsum(counts), counts) - np.arange(len(flat))
    first = np.flatnonzero(to_the_end >= width)
    runs = np.zeros(len(first), dtype=np.uint64)
    for offset in range(width):
        runs = _mix(runs, flat[first + offset])
    return runs, np.concatenate(([0], np.cumsum(counts - width + 1)))


def _mix(state: Keys, value: Keys) -> Keys:
    mixed: Keys = (state ^ value) * _MIX
    return mixed ^ (mixed >> _SHIFT)
