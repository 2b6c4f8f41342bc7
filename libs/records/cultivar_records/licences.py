"""Licences: what the rows that teachers wrote may be used for, and whether that is allowed."""

from collections.abc import Iterable

from cultivar_records.examples import Example

UNSTATED = "unstated"
"""Stands for the licence of a teacher that has none noted, and of candidates that were made before any was kept."""


def licences_of(example: Example) -> tuple[str, ...]:
    """Returns the licences of an example: one or more of a candidate, none of what no teacher has written."""
    return example.provenance.licences or ((UNSTATED,) if example.provenance.origin == "candidate" else ())


def inherited(licence: str, seeds: Iterable[Example]) -> tuple[str, ...]:
    """Returns the licences of what a teacher writes with some examples before it: its own, and theirs."""
    return tuple(sorted({licence.strip() or UNSTATED, *(one for seed in seeds for one in licences_of(seed))}))


def disallowed(licences: Iterable[str], allowed: Iterable[str]) -> list[str]:
    """Returns the licences that are not among those allowed, which are compared whole, in any case and spacing."""
    known = {_form(one) for one in allowed}
    return [one for one in licences if _form(one) not in known]


def _form(licence: str) -> str:
    return " ".join(licence.split()).casefold()
