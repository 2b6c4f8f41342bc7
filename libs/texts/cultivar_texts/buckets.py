"""An index from band keys to rows: sorted arrays, about 12 bytes for a key, that grow by merging."""

from typing import Final

import numpy as np
import numpy.typing as npt

from cultivar_texts.sketches import Keys

Rows = npt.NDArray[np.uint32]
Pairs = npt.NDArray[np.int64]
"""Shape (pairs, 2): the row of the query, and the row of the index that shares a band with it."""

BUCKET_ROWS: Final = 64
"""How many rows of one bucket are looked at. A pair that is alike shares several bands; one bucket that is crowded
(a template with thousands of fillings) must not make the cost quadratic."""


class Buckets:
    """Finds the rows that share a band key with a query.

    Arrays are merged when the newer is at least half as long as the older, so n rows cost n log n in all, whether
    they come one at a time or many.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[Keys, Rows]] = []

    def add(self, keys: Keys, first: int) -> None:
        """Adds rows `first`, `first` + 1, … with their band keys, shape (rows, bands)."""
        if not len(keys):
            return
        rows = np.repeat(np.arange(first, first + len(keys), dtype=np.uint32), keys.shape[1])
        part = _sorted(keys.reshape(-1), rows)
        while self._parts and len(self._parts[-1][0]) <= 2 * len(part[0]):
            older = self._parts.pop()
            part = _sorted(np.concatenate((older[0], part[0])), np.concatenate((older[1], part[1])))
        self._parts.append(part)

    def candidates(self, keys: Keys) -> Pairs:
        """Finds the distinct pairs of query and row that share a band, sorted by query, then row."""
        queries = np.repeat(np.arange(len(keys), dtype=np.int64), keys.shape[1] if len(keys) else 0)
        order = np.argsort(keys, axis=None)
        found = [_matches(part, keys.reshape(-1)[order], queries[order]) for part in self._parts]
        codes = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)
        return np.stack((codes >> 32, codes & 0xFFFFFFFF), axis=1)


def _sorted(keys: Keys, rows: Rows) -> tuple[Keys, Rows]:
    order = np.argsort(keys, kind="stable")
    return keys[order], rows[order]


def _matches(part: tuple[Keys, Rows], keys: Keys, queries: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Codes each match as query * 2**32 + row."""
    left = np.searchsorted(part[0], keys, side="left")
    hit = np.flatnonzero(part[0][np.minimum(left, len(part[0]) - 1)] == keys)
    left = left[hit]
    counts = np.minimum(np.searchsorted(part[0], keys[hit], side="right") - left, BUCKET_ROWS)
    starts = np.repeat(left - np.concatenate(([0], np.cumsum(counts)[:-1])), counts) if len(hit) else left
    places = starts + np.arange(counts.sum())
    return (np.repeat(queries[hit], counts) << 32) | part[1][places].astype(np.int64)
