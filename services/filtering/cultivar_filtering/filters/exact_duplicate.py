"""exact_duplicate: examples that say, as a whole, what a seed or an earlier kept example says in the same words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar

from cultivar_records import Example
from cultivar_texts import normal_form

from cultivar_filtering.filters.protocol import FilterConfig, Given, Judge, Opinion, keep, reject, wording
from cultivar_filtering.filters.rests import rest_of


class ExactDuplicateConfig(FilterConfig):
    """It has no parameters."""


class ExactDuplicate:
    """Rejects repeats."""

    description = (
        "Rejects examples whose text and answers equal those of a seed or an example kept before, but for case, "
        "punctuation and spacing; and texts that have another label there."
    )
    reasons: ClassVar[Mapping[str, str]] = {
        "of_seed": "a seed has the same text and answers",
        "of_earlier": "an example kept before has the same text and answers",
        "other_label": "a seed or an example kept before has the same text under another label",
    }
    Config = ExactDuplicateConfig

    def judge(self, config: ExactDuplicateConfig, given: Given) -> Judge:
        """Returns a judge that holds the seeds."""
        return Repeats(given.seeds)


@dataclass(frozen=True, slots=True)
class Held:
    """An example that is held: its label, the keys of its answers, and the reason against those that repeat it."""

    label: str | None
    answer: bytes
    rejected: bytes
    reason: str


class Repeats:
    """Holds some 100 bytes for each example."""

    def __init__(self, seeds: Sequence[Example]) -> None:
        self._held: dict[bytes, list[Held]] = {}
        self._seeds = {seed.id for seed in seeds}
        for seed in seeds:
            self._hold(seed, "of_seed")

    def begin(self, block: Sequence[Example]) -> None:
        """Does nothing."""

    def judge(self, example: Example) -> Opinion:
        """Looks the text up, then what is said beside it; a seed among the examples is no duplicate of itself."""
        held = self._held.get(key(wording(example)))
        if held is None or example.id in self._seeds:
            return keep()
        rest = rest_of(example)
        same = [one for one in held if one.label == rest.label]
        if not same:
            return reject("other_label")
        # An example without an answer says no more than its input.
        answer, rejected = key(rest.answer), key(rest.rejected)
        for one in same:
            if (not answer or answer == one.answer) and (not rejected or rejected == one.rejected):
                return reject(one.reason)
        return keep()

    def remember(self, example: Example) -> None:
        """Holds a kept example."""
        self._hold(example, "of_earlier")

    def _hold(self, example: Example, reason: str) -> None:
        rest = rest_of(example)
        held = Held(rest.label, key(rest.answer), key(rest.rejected), reason)
        self._held.setdefault(key(wording(example)), []).append(held)


def key(text: str) -> bytes:
    """Returns 128 bits of BLAKE2b over the normal form of a text; nothing for an empty one."""
    form = normal_form(text)
    return blake2b(form.encode("utf-8", "surrogatepass"), digest_size=16).digest() if form else b""
