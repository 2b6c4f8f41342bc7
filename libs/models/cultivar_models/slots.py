"""Who may send a request now: a bounded number at once, retries first, nobody while the server asks for a pause."""

import asyncio
from collections import deque

from cultivar_models.limit import Limit

_LONGEST_PAUSE_S = 60.0


class Slots:
    """Bounds the requests under way by a limit that learns what the server bears.

    A call that is tried again goes before calls that were never tried: else its deadline would pass in the queue.
    Where the server refuses so many that the limit falls, its Retry-After (up to a minute at a time) holds for every
    call that waits here; a single refusal holds back its own call alone.
    """

    def __init__(self, most: int) -> None:
        self._limit = Limit(most)
        self._fresh: deque[asyncio.Future[None]] = deque()
        self._retries: deque[asyncio.Future[None]] = deque()
        self._gate: asyncio.TimerHandle | None = None
        self.taken = 0

    @property
    def limit(self) -> int:
        """How many may be under way now: 1 or more."""
        return self._limit.value

    async def take(self, again: bool = False) -> int:
        """Waits for a free slot; `again` says that the call was tried before.

        Returns a number to hand to `served` or `refused`: it tells requests from before a fall from later ones.
        """
        if self.taken < self.limit and not self._retries and not self._fresh and self._gate is None:
            self.taken += 1
            return self._limit.epoch
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._retries if again else self._fresh).append(turn)
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.give_back()
            raise
        return self._limit.epoch

    def give_back(self) -> None:
        """Frees one slot and hands it to the next that waits."""
        self.taken -= 1
        self._hand_out()

    def served(self, epoch: int, seconds: float) -> None:
        """Notes, before the slot is given back, that the server answered a request in full after so many seconds."""
        self._limit.served(epoch, seconds, asyncio.get_running_loop().time(), self.taken)

    def refused(self, epoch: int, retry_after: float | None = None) -> None:
        """Notes that the server refused a request because it has too many, or let it time out."""
        if self._limit.refused(epoch) and retry_after and self._gate is None:
            pause = min(retry_after, _LONGEST_PAUSE_S)
            self._gate = asyncio.get_running_loop().call_later(pause, self._open_gate)

    def recovered(self) -> None:
        """Notes that a server which was away is back."""
        self._limit.recovered()

    def _open_gate(self) -> None:
        self._gate = None
        self._hand_out()

    def _hand_out(self) -> None:
        while self.taken < self.limit and (self._retries or self._fresh) and self._gate is None:
            turn = (self._retries or self._fresh).popleft()
            # A cancelled waiter stays in line until here: to search for it would cost a walk over the whole line.
            if not turn.done():
                self.taken += 1
                turn.set_result(None)
