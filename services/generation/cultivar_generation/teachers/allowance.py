"""One bound of memory for the answers under way in all lanes of a model."""

from itertools import count
from typing import Protocol
from weakref import WeakSet


class Holder(Protocol):
    """What shares an allowance; a generation lane is one."""

    turn: int
    """When it was refused what it waits for, counted from 1; 0 where it waits for nothing."""

    @property
    def held(self) -> int:
        """The tokens that it holds, or has yet to fill."""


class Allowance:
    """Shares tokens among lanes, which one thread alone steps.

    Nobody begins anything while one that was refused before waits for its room, so that wide work has its turn among
    narrow. What is wider than all of it begins when nobody holds anything. A lane that is dropped holds nothing.
    """

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._turns = count(1)
        self._holders: WeakSet[Holder] = WeakSet()

    def join(self, holder: Holder) -> None:
        """Counts what a lane holds from now on."""
        self._holders.add(holder)

    def allows(self, holder: Holder, wanted: int, first: bool) -> bool:
        """Tells whether a lane may come to hold so many tokens; first: it holds nothing yet."""
        others = [other for other in self._holders if other is not holder]
        used = sum(other.held for other in others)
        waited = any(other.turn and (not holder.turn or other.turn < holder.turn) for other in others)
        if not waited and (used + wanted <= self._tokens or (first and not used)):
            holder.turn = 0
            return True
        holder.turn = holder.turn or next(self._turns)
        return False
