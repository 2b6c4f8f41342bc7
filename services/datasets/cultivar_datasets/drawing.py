"""A file that is larger than what is wanted of it: rows of some labels alone, and a sample of each label."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from heapq import heappush, heappushpop

from cultivar_records import Example

from cultivar_datasets.rows import Bad
from cultivar_datasets.specs import ImportSpec


def draw(rows: Iterable[Example | Bad], spec: ImportSpec) -> frozenset[str] | None:
    """Draws the examples of each label, without replacement, and returns their ids; None where all are wanted.

    The draw depends on the ids and the random seed alone, not on the order of the rows.
    """
    if not spec.per_label:
        return None
    drawn: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in rows:
        if isinstance(row, Example):
            heap, entry = drawn[row.label or ""], (-rank(spec.random_seed, row.id), row.id)
            # The heap keeps the smallest ranks: its first is the largest of them, and gives way.
            (heappush if len(heap) < spec.per_label else heappushpop)(heap, entry)
    return frozenset(name for heap in drawn.values() for _, name in heap)


def rank(random_seed: int, name: str) -> int:
    """Returns the place of an example in a random order of all."""
    return int.from_bytes(hashlib.sha256(f"{random_seed}/{name}".encode()).digest()[:8])


def wanted(rows: Iterable[Example | Bad], spec: ImportSpec, drawn: Collection[str] | None) -> Iterator[Example | Bad]:
    """Yields the rows that an import is about: those drawn, and bad ones unless other labels are passed over."""
    for row in rows:
        if isinstance(row, Bad):
            if not (spec.only_labels and row.label):
                yield row
        elif drawn is None or row.id in drawn:
            yield row
