"""Splits of examples into parts that no family crosses."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cultivar_records.examples import Example

_Labels = Counter[str]


@dataclass
class _Part:
    name: str
    share: float
    rows: int = 0
    labels: _Labels = field(default_factory=Counter)


def split_by_family(examples: Iterable[Example], shares: Mapping[str, float], seed: int) -> dict[str, list[Example]]:
    """Splits examples into named parts by their shares, never cutting a family and balancing labels where it can.

    `shares` are positive weights, as `{"train": 8, "test": 2}`. The result depends on the examples and the seed,
    not on their order; each part is sorted by id. Families go, those with the rarest labels first, to the part that
    most wants their label, after the iterative stratification of Sechidis, Tsoumakas and Vlahavas (2011), "On the
    Stratification of Multi-Label Data", with families in the place of rows. Raises ValueError for shares that are
    not positive.
    """
    if not shares or min(shares.values()) <= 0:
        raise ValueError("A split needs at least one part, and every part a share above zero.")
    families: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        families[example.provenance.family].append(example)
    whole = sum(shares.values())
    parts = [_Part(name, share / whole) for name, share in shares.items()]
    result: dict[str, list[Example]] = {part.name: [] for part in parts}
    for name, part in _assign({name: _labels(rows) for name, rows in families.items()}, parts, seed):
        result[part.name].extend(families[name])
    return {name: sorted(rows, key=lambda example: example.id) for name, rows in result.items()}


def _labels(rows: Iterable[Example]) -> _Labels:
    return Counter(row.label or "" for row in rows)


def _assign(families: Mapping[str, _Labels], parts: list[_Part], seed: int) -> Iterable[tuple[str, _Part]]:
    totals = sum(families.values(), Counter[str]())
    rarest = {name: min(labels, key=lambda label: (totals[label], label)) for name, labels in families.items()}

    def order(name: str) -> tuple[int, str, int, str]:
        label = rarest[name]
        return totals[label], label, -families[name].total(), _draw(seed, name)

    placed = 0
    for name in sorted(families, key=order):
        label, size = rarest[name], families[name].total()
        placed += size
        part = _choose(parts, label, families[name][label], totals[label], placed)
        part.rows += size
        part.labels.update(families[name])
        yield name, part


def _choose(parts: list[_Part], label: str, count: int, total: int, placed: int) -> _Part:
    """Picks the part that wants the label most; when none has room for all of it, the part most behind overall.

    A label's first family goes to the largest part: a label that is only in a test part could not be learnt.
    """
    if not any(part.labels[label] for part in parts):
        return max(parts, key=lambda part: part.share)
    wants = {part.name: part.share * total - part.labels[label] for part in parts}
    roomy = [part for part in parts if wants[part.name] >= count - 1e-9]
    if roomy:
        return max(roomy, key=lambda part: wants[part.name])
    open_parts = [part for part in parts if wants[part.name] > 1e-9] or parts
    return max(open_parts, key=lambda part: (part.share * placed - part.rows, part.share))


def _draw(seed: int, family: str) -> str:
    return hashlib.sha256(f"{seed}/{family}".encode()).hexdigest()
