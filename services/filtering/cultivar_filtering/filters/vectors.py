"""The vectors of texts, which a run hands its filters, and a pool that finds the nearest vector it holds."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from cultivar_texts.near_duplicates import Neighbour
from numpy.typing import NDArray

CHUNK = 4_096
"""Rows of one piece of the pool, which never moves once it is made."""
ROUGH = 1e-4
"""What rounding may do, at most, to a similarity that is computed in float32 for many at once."""
SLACK = 1e-6
"""What rounding may take from the length of a unit vector, so that no text comes short of itself."""

Matrix = NDArray[np.float32]
"""Vectors, one a row, or one vector."""
Embedded = Mapping[str, tuple[Sequence[str], Matrix]]
"""Texts and their unit vectors, one a row, by the model that embedded them; texts without a vector are left out."""


class Vectors:
    """Holds the vectors of the texts that a run has come to: of the seeds, then of each range in turn."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Matrix]] = {}

    def hold(self, embedded: Embedded) -> None:
        """Holds these vectors, in place of those before."""
        self._rows = {model: dict(zip(texts, rows, strict=True)) for model, (texts, rows) in embedded.items()}

    def of(self, model: str, texts: Iterable[str]) -> dict[str, Matrix]:
        """Returns the vectors of those texts that have one."""
        rows = self._rows.get(model, {})
        return {text: rows[text] for text in texts if text in rows}


class Pool:
    """Unit vectors of one width, in which those near another are found by a look at all of them.

    What it finds does not depend on how many are looked up at once: float32 products of many tell the few that may be
    near, and those are compared exactly. A text of 384 numbers takes 1.5 KB and its id; a look-up of 256 texts
    takes 4 MB beside the pool.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._ids: list[str] = []
        self._chunks: list[Matrix] = []

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, id: str, vector: Matrix) -> None:
        """Holds a vector."""
        number, place = divmod(len(self._ids), CHUNK)
        if number == len(self._chunks):
            self._chunks.append(np.empty((CHUNK, vector.size), np.float32))
        self._chunks[number][place] = vector
        self._ids.append(id)

    def near(self, vectors: Matrix, start: int = 0) -> list[list[Neighbour]]:
        """Returns for each row the vectors held from a place on that are at or above the threshold.

        The nearest come first, of equally near ones that with the smallest id.
        """
        found: list[list[Neighbour]] = [[] for _ in vectors]
        for row, place in self._candidates(vectors, start):
            near = Neighbour(self._ids[place], similarity(vectors[row], self._at(place)))
            if near.similarity >= self._threshold - SLACK:
                found[row].append(near)
        return [sorted(each, key=distance) for each in found]

    def _candidates(self, vectors: Matrix, start: int) -> Iterator[tuple[int, int]]:
        """Yields rows and places whose rough similarity comes to the threshold."""
        if start == len(self._ids):
            return
        least = np.float32(self._threshold - ROUGH)
        for first in range(start - start % CHUNK, len(self._ids), CHUNK):
            skipped = max(start - first, 0)
            rough = self._chunks[first // CHUNK][skipped : len(self._ids) - first] @ vectors.T
            for place, row in np.argwhere(rough >= least).tolist():
                yield row, first + skipped + place

    def _at(self, place: int) -> Matrix:
        row: Matrix = self._chunks[place // CHUNK][place % CHUNK]
        return row


def distance(neighbour: Neighbour) -> tuple[float, str]:
    """Returns what neighbours are sorted by: the nearest first, of equally near ones that with the smallest id."""
    return -neighbour.similarity, neighbour.id


def similarity(one: Matrix, other: Matrix) -> float:
    """Returns the cosine of two unit vectors, 1 at most: the products are exact in float64, and so is their sum."""
    return min(1.0, math.fsum((one.astype(np.float64) * other.astype(np.float64)).tolist()))
