"""When an example repeats another as a whole: not its input alone, but what it says beside it too.

Two examples with like inputs say different things where their labels differ, or where one has an answer or a rejected
answer that is clearly another than the other's: a label changed by a few words, an answer in another style, a second
pair of a preference. So a filter against copies passes over a neighbour that an example does not repeat as a whole. An
example without an answer says its input and nothing else, and one that answers an unanswered input says more than it.
The answers of entities are made of the input, so their inputs are compared alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from cultivar_records import Example, TaskKind
from cultivar_texts import jaccard, normal_form
from cultivar_texts.near_duplicates import Neighbour
from pydantic import Field

from cultivar_filtering.filters.nearness import grams
from cultivar_filtering.filters.protocol import FilterConfig

FREE = (TaskKind.INSTRUCTION, TaskKind.CODE)
"""The tasks whose answer is free text."""


class CopyConfig(FilterConfig):
    """How like the answers to like inputs must be for one example to be a copy of the other."""

    answer_threshold: float = Field(
        0.7,
        ge=0,
        le=1,
        description="Jaccard similarity of words and word pairs from which two answers, or two rejected answers, to "
        "like inputs say the same, 0 to 1; at 0 inputs and labels are compared alone.",
    )


@dataclass(frozen=True, slots=True)
class Rest:
    """What an example says beside its input, texts in their normal form; empty for none."""

    label: str | None
    answer: str
    rejected: str


@lru_cache(1024)
def shared(label: str | None, answer: str, rejected: str) -> Rest:
    """Returns one object for rests that come often, such as a label alone."""
    return Rest(label, answer, rejected)


def rest_of(example: Example) -> Rest:
    """Returns what an example says beside its input."""
    answer = example.answer if example.task in FREE else ""
    return shared(example.label, normal_form(answer), normal_form(example.rejected or ""))


class Rests:
    """Holds what seeds and kept examples say beside their inputs, by their ids: texts, so as much as their answers."""

    def __init__(self, config: CopyConfig) -> None:
        self._threshold = config.answer_threshold
        self._held: dict[str, Rest] = {}
        self._parts: dict[str, frozenset[int]] = {}

    def hold(self, example: Example) -> None:
        """Holds what an example says."""
        self._held[example.id] = rest_of(example)

    def first(self, example: Example, near: Iterable[Neighbour]) -> Neighbour | None:
        """Returns the first of some neighbours in their inputs that an example repeats as a whole."""
        rest = rest_of(example)
        return next((neighbour for neighbour in near if self._repeats(rest, self._held[neighbour.id])), None)

    def _repeats(self, rest: Rest, held: Rest) -> bool:
        return (
            rest.label == held.label
            and self._alike(rest.answer, held.answer)
            and self._alike(rest.rejected, held.rejected)
        )

    def _alike(self, said: str, held: str) -> bool:
        if not said or said == held or not self._threshold:
            return True
        return bool(held) and jaccard(self._grams(said), self._grams(held)) >= self._threshold

    def _grams(self, text: str) -> frozenset[int]:
        # Kept of the few texts whose inputs are near another's: one input may have hundreds of answers.
        if text not in self._parts:
            self._parts[text] = frozenset(map(hash, grams(text)))
        return self._parts[text]
