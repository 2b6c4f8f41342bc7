"""exact_duplicate: texts that say what a seed or an earlier kept example says in the same words."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import ClassVar

from cultivar_records import Example
from cultivar_texts import normal_form

from cultivar_filtering.filters.protocol import FilterConfig, Given, Judge, Opinion, keep, reject, wording


class ExactDuplicateConfig(FilterConfig):
    """It has no parameters."""


class ExactDuplicate:
    """Rejects repeats."""

    description = "Rejects texts that equal a seed or an example kept before, but for case, punctuation and spacing."
    reasons: ClassVar[Mapping[str, str]] = {
        "of_seed": "a seed has the same text",
        "of_earlier": "an example kept before has the same text",
        "other_label": "a seed or an example kept before has the same text under another label",
    }
    Config = ExactDuplicateConfig

    def judge(self, config: ExactDuplicateConfig, given: Given) -> Judge:
        """Returns a judge that holds the seeds."""
        return Repeats(given.seeds)


class Repeats:
    """Holds 16 bytes for each text, whose label it has, and whether it is a seed's."""

    def __init__(self, seeds: Sequence[Example]) -> None:
        self._held: dict[bytes, tuple[str | None, str]] = {}
        self._seeds = {seed.id for seed in seeds}
        for seed in seeds:
            self._held.setdefault(key(seed), (seed.label, "of_seed"))

    def begin(self, block: Sequence[Example]) -> None:
        """Does nothing."""

    def judge(self, example: Example) -> Opinion:
        """Looks the text up; a seed among the examples is no duplicate of itself."""
        held = self._held.get(key(example))
        if held is None or example.id in self._seeds:
            return keep()
        label, reason = held
        return reject(reason if label == example.label else "other_label")

    def remember(self, example: Example) -> None:
        """Holds the text of a kept example."""
        self._held.setdefault(key(example), (example.label, "of_earlier"))


def key(example: Example) -> bytes:
    """Returns 128 bits of BLAKE2b over the normal form of an example's wording."""
    return blake2b(normal_form(wording(example)).encode("utf-8", "surrogatepass"), digest_size=16).digest()
