"""Every step of a run, planned before the first: which rows, on which worker, and where training ends.

The plan follows from the lengths of the rows and the settings alone, so that an attempt that goes on from a checkpoint
trains on the rows that the first would have trained on, in the same order.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from cultivar_training.program.errors import Refused

MOST_VISITS = 20_000_000
"""The most rows of a plan, each counted as often as it comes; a plan is held in memory."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the rows of each worker by their place, the tokens fed, and whether an epoch ends with it."""

    shares: tuple[tuple[int, ...], ...]
    tokens: int
    ends_epoch: bool


def plan_steps(
    lengths: Sequence[int], *, epochs: int, batch_size: int, workers: int, seed: int, budget: int = 0
) -> tuple[Step, ...]:
    """Plans the steps of all epochs, or as many as the budget of tokens allows (0: all).

    Rows are shuffled anew in each epoch; a batch may reach over the end of an epoch, so that only the last is short.
    Raises Refused where the budget does not suffice for one row, or the plan is too long to be held.
    """
    if len(lengths) * epochs > MOST_VISITS and not budget:
        raise Refused(
            f"{len(lengths)} rows in {epochs} epochs are over {MOST_VISITS} steps of one row: ask for fewer epochs, or "
            "set max_trained_tokens"
        )
    steps: list[Step] = []
    left = budget or sum(lengths) * epochs
    batch: list[int] = []
    ended = False
    stream = _stream(len(lengths), epochs, seed)
    for row, ends in stream:
        if lengths[row] > left:
            break
        left -= lengths[row]
        batch.append(row)
        ended = ended or ends
        if len(batch) == batch_size:
            steps.append(_step(batch, lengths, workers, ended))
            batch, ended = [], False
    if batch:
        steps.append(_step(batch, lengths, workers, True))
    if not steps:
        raise Refused(f"max_trained_tokens is {budget}, and the first row alone has more: raise it")
    return tuple(steps)


def plan_digest(steps: Sequence[Step]) -> str:
    """Returns SHA-256 over a plan: a checkpoint of another plan is of no use."""
    return hashlib.sha256(repr([step.shares for step in steps]).encode()).hexdigest()


def _stream(rows: int, epochs: int, seed: int) -> Iterator[tuple[int, bool]]:
    for epoch in range(epochs):
        order = list(range(rows))
        Random(f"{seed}/{epoch}").shuffle(order)
        for place, row in enumerate(order):
            yield row, place == rows - 1


def _step(batch: Sequence[int], lengths: Sequence[int], workers: int, ends_epoch: bool) -> Step:
    """Deals the rows out, the longest first, each to the worker with the fewest tokens."""
    shares: list[list[int]] = [[] for _ in range(workers)]
    loads = [0] * workers
    for row in sorted(batch, key=lambda row: (-lengths[row], row)):
        worker = loads.index(min(loads))
        shares[worker].append(row)
        loads[worker] += lengths[row]
    return Step(tuple(tuple(share) for share in shares), sum(lengths[row] for row in batch), ends_epoch)
