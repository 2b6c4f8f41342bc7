"""Near-duplicates: texts whose sets of word runs overlap by at least a threshold.

Sketches only propose; every pair is then checked by its exact Jaccard similarity, so nothing is called a
near-duplicate that is not one. A pair just at the threshold is proposed in 995 cases of 1000, a closer one more often.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final, NamedTuple, TypeVar

import numpy as np

from cultivar_texts.buckets import Buckets, Pairs
from cultivar_texts.overlap import jaccard
from cultivar_texts.sketches import Bands, Keys, sketch, unpack
from cultivar_texts.words import normal_form, words

_BATCH_TEXTS: Final = 4096
_ROUNDING: Final = 1e-9
_Item = TypeVar("_Item")


class Neighbour(NamedTuple):
    """Names the text nearest to another, and their similarity, from the threshold to 1."""

    id: str
    similarity: float


@dataclass(frozen=True, slots=True)
class _Batch:
    """Holds a batch as the index sees it.

    `digests` are those of all its normal forms; `places` says which texts are no exact duplicates of one held or of
    one before them, and `keys` and `runs` are those texts' band keys and packed word runs.
    """

    digests: list[bytes]
    places: list[int]
    keys: Keys
    runs: list[bytes]


class NearDuplicates:
    """Holds texts by id and finds those near another.

    `width` is the number of words in a run; a text of fewer words is near only those of the same normal form. Texts
    of the same normal form are held once. Memory is about 1 KB for a text of 30 words. Raises ValueError for a
    threshold that is not above 0 and at most 1, or a width below 1.
    """

    def __init__(self, threshold: float = 0.8, *, width: int = 3) -> None:
        if width < 1:
            raise ValueError("A run must be at least one word wide.")
        self._threshold, self._width = threshold, width
        self._bands = Bands.for_threshold(threshold)
        self._buckets = Buckets()
        self._ids: list[str] = []
        self._runs: list[bytes] = []
        self._rows: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, id: str, text: str) -> None:
        """Adds one text; many are added faster by `add_many`."""
        self.add_many([(id, text)])

    def add_many(self, items: Iterable[tuple[str, str]]) -> None:
        """Adds texts by their ids; those of one normal form under the smallest, whatever their order."""
        for pairs in _batches(items):
            batch = self._read([text for _, text in pairs])
            self._buckets.add(batch.keys, len(self))
            for place, runs in zip(batch.places, batch.runs, strict=True):
                self._store(pairs[place][0], batch.digests[place], runs)
            for digest, (id, _) in zip(batch.digests, pairs, strict=True):
                row = self._rows[digest]
                self._ids[row] = min(self._ids[row], id)

    def query(self, text: str) -> Neighbour | None:
        """Finds the text nearest to one, at or above the threshold; of equally near ones that with the smallest id."""
        return self.query_many([text])[0]

    def query_many(self, texts: Sequence[str]) -> list[Neighbour | None]:
        """Finds the nearest text to each of several; None where none is near."""
        return [found for batch in _batches(texts) for found in self._query(batch)]

    def near_many(self, texts: Sequence[str]) -> list[list[Neighbour]]:
        """Finds all texts near each of several, the nearest first, of equally near ones that with the smallest id."""
        return [found for batch in _batches(texts) for found in self._all(batch)]

    def keep_first(self, items: Iterable[tuple[str, str]]) -> Iterator[tuple[str, Neighbour | None]]:
        """Adds each text that is near none held so far, and gives for each id, in order, what it is near to.

        The neighbour is always a text that was kept, so each one that is left out can be shown beside its reason. The
        result depends on the order: give items in a fixed one, as by id.
        """
        for pairs in _batches(items):
            yield from zip((id for id, _ in pairs), self._keep(pairs), strict=True)

    def _query(self, texts: Sequence[str]) -> list[Neighbour | None]:
        batch = self._read(texts)
        held = _by_query(self._buckets.candidates(batch.keys), len(batch.places))
        nearest = map(self._nearest, batch.runs, held)
        found = dict(zip((batch.digests[place] for place in batch.places), nearest, strict=True))
        return [found[digest] if digest in found else self._same(digest) for digest in batch.digests]

    def _all(self, texts: Sequence[str]) -> list[list[Neighbour]]:
        batch = self._read(texts, known=True)
        held = _by_query(self._buckets.candidates(batch.keys), len(batch.places))
        near = map(self._near, batch.runs, held)
        found = dict(zip((batch.digests[place] for place in batch.places), near, strict=True))
        return [found[digest] for digest in batch.digests]

    def _keep(self, pairs: Sequence[tuple[str, str]]) -> list[Neighbour | None]:
        batch = self._read([text for _, text in pairs])
        size, first = len(batch.places), len(self)
        within = Buckets()
        within.add(batch.keys, 0)
        held = _by_query(self._buckets.candidates(batch.keys), size)
        beside = _by_query(within.candidates(batch.keys), size)
        kept: dict[int, int] = {}
        found: dict[bytes, Neighbour] = {}
        for number, place in enumerate(batch.places):
            rows = held[number] + [kept[other] for other in beside[number] if other in kept]
            near = self._nearest(batch.runs[number], rows)
            if near is None:
                kept[number] = len(self)
                self._store(pairs[place][0], batch.digests[place], batch.runs[number])
            else:
                found[batch.digests[place]] = near
        self._buckets.add(batch.keys[list(kept)], first)
        new = {batch.places[number] for number in kept}
        return [
            None if place in new else found.get(digest) or self._same(digest)
            for place, digest in enumerate(batch.digests)
        ]

    def _read(self, texts: Sequence[str], known: bool = False) -> _Batch:
        """Reads a batch; texts that are held already are left out of its places unless `known` is asked for."""
        folded = [words(text) for text in texts]
        forms = [" ".join(found) or normal_form(text) for found, text in zip(folded, texts, strict=True)]
        digests = [_digest(form) for form in forms]
        firsts: dict[bytes, int] = {}
        for place, digest in enumerate(digests):
            if known or digest not in self._rows:
                firsts.setdefault(digest, place)
        places = list(firsts.values())
        # A text too short for a run is one run of its own, of words that no longer text can hold.
        wide = [
            folded[place] if len(folded[place]) >= self._width else ["\0" + forms[place]] * self._width
            for place in places
        ]
        sketches = sketch(wide, self._bands, self._width)
        return _Batch(digests, places, sketches.keys, sketches.runs)

    def _store(self, id: str, digest: bytes, runs: bytes) -> None:
        self._rows[digest] = len(self._ids)
        self._ids.append(id)
        self._runs.append(runs)

    def _same(self, digest: bytes) -> Neighbour:
        return Neighbour(self._ids[self._rows[digest]], 1.0)

    def _nearest(self, packed: bytes, rows: Sequence[int]) -> Neighbour | None:
        return next(iter(self._near(packed, rows)), None)

    def _near(self, packed: bytes, rows: Sequence[int]) -> list[Neighbour]:
        runs = unpack(packed) if rows else set()
        found = [Neighbour(self._ids[row], jaccard(runs, unpack(self._runs[row]))) for row in rows]
        near = (neighbour for neighbour in found if neighbour.similarity >= self._threshold - _ROUNDING)
        return sorted(near, key=lambda neighbour: (-neighbour.similarity, neighbour.id))


def _digest(form: str) -> bytes:
    return hashlib.blake2b(form.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _by_query(pairs: Pairs, queries: int) -> list[list[int]]:
    rows = pairs[:, 1].tolist()
    bounds = np.searchsorted(pairs[:, 0], np.arange(queries + 1)).tolist()
    return [rows[start:end] for start, end in pairwise(bounds)]


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH_TEXTS)):
        yield batch
