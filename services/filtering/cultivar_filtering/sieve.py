"""A recipe at work: examples through its filters, each as far as the first that rejects it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from cultivar_records import Example, Verdict

from cultivar_filtering.filters import FILTERS, Given, Judge
from cultivar_filtering.recipes import Use

BLOCK = 256
"""How many examples judges are told of at once. A run stops and goes on at a whole number of blocks."""
ERROR = "error:"
"""What the reason of a verdict begins with whose filter could not judge; the type and text of the exception follow."""
MOST_CAUSE = 200


class Outcome(StrEnum):
    """Where an example ended."""

    KEPT = "kept"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Judged:
    """An example with its verdicts, up to the first that does not keep it."""

    example: Example
    verdicts: tuple[Verdict, ...]

    @property
    def outcome(self) -> Outcome:
        """Where the example ended."""
        return outcome_of(self.verdicts)


def outcome_of(verdicts: Sequence[Verdict]) -> Outcome:
    """Tells where an example with these verdicts ended."""
    if not verdicts or verdicts[-1].keep:
        return Outcome.KEPT
    return Outcome.FAILED if verdicts[-1].reason.startswith(ERROR) else Outcome.REJECTED


class Sieve:
    """The judges of one run."""

    def __init__(self, uses: Sequence[Use], given: Given) -> None:
        self._judges: list[tuple[str, Judge]] = []
        for use in uses:
            found = FILTERS[use.filter]
            self._judges.append((use.filter, found.judge(found.Config.model_validate(use.params), given)))

    def remember(self, kept: Iterable[Example]) -> None:
        """Learns what was kept before the run was interrupted, in the order of ids."""
        for example in kept:
            self._remember(example)

    def judge(self, examples: Iterable[Example]) -> Iterator[Judged]:
        """Judges examples in order, a block at a time; the first begins a block."""
        iterator = iter(examples)
        while block := list(islice(iterator, BLOCK)):
            for _, judge in self._judges:
                judge.begin(block)
            for example in block:
                judged = Judged(example, tuple(self._verdicts(example)))
                if judged.outcome is Outcome.KEPT:
                    self._remember(example)
                yield judged

    def _verdicts(self, example: Example) -> Iterator[Verdict]:
        for name, judge in self._judges:
            try:
                found = judge.judge(example)
                verdict = Verdict(
                    example=example.id, filter=name, keep=found.keep, reason=found.reason, score=found.score
                )
            except Exception as error:  # What a plug-in raises on one row fails that row alone.
                cause = f"{ERROR} {type(error).__name__}: {error}"[:MOST_CAUSE]
                verdict = Verdict(example=example.id, filter=name, keep=False, reason=cause)
            yield verdict
            if not verdict.keep:
                return

    def _remember(self, example: Example) -> None:
        for _, judge in self._judges:
            judge.remember(example)


def counts_of(judged: Iterable[Judged]) -> Counter[str]:
    """Counts examples by where they ended, and the others than kept ones by filter and reason."""
    counts: Counter[str] = Counter()
    for one in judged:
        counts[one.outcome.value] += 1
        last = one.verdicts[-1] if one.verdicts else None
        if last is not None and one.outcome is Outcome.REJECTED:
            counts[f"{one.outcome}.{last.filter}.{last.reason}"] += 1
        if last is not None and one.outcome is Outcome.FAILED:
            counts[f"{one.outcome}.{last.filter}"] += 1
    return counts
