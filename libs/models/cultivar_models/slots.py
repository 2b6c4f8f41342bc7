"""How many requests may be under way at once, and fewer when the server says that it is too much."""

import asyncio
from collections import deque

_SHORTEST_WINDOW = 32
_TOO_LARGE_A_SHARE = 1 / 3


class Slots:
    """Bounds the requests under way, and learns from refusals how many the server bears.

    A call that is tried again goes before calls that were never tried: else its deadline would pass in the queue.
    Single refusals change nothing, for many servers refuse a small share whatever they bear. When a third of a round of
    requests is refused, the limit halves, once for all the requests that were then under way. Each success lets it
    grow again, by one for each full round, up to where it began. A round is counted in answers, never in refusals in a
    row: these come at once, where answers take their time, so a few always arrive together.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"concurrency is {limit}; give 1 or more")
        self._most = float(limit)
        self._limit = float(limit)
        self._fresh: deque[asyncio.Future[None]] = deque()
        self._retries: deque[asyncio.Future[None]] = deque()
        self._seen = 0
        self._refusals = 0
        self._epoch = 0
        self.taken = 0

    @property
    def limit(self) -> int:
        """How many may be under way now: 1 or more."""
        return int(self._limit)

    async def take(self, again: bool = False) -> int:
        """Waits for a free slot; `again` says that the call was tried before.

        Returns a number to hand to `served` or `refused`: it tells requests from before a halving from later ones.
        """
        if self.taken < self.limit and not self._retries and not self._fresh:
            self.taken += 1
            return self._epoch
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._retries if again else self._fresh).append(turn)
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.give_back()
            raise
        return self._epoch

    def give_back(self) -> None:
        """Frees one slot and hands it to the next that waits."""
        self.taken -= 1
        self._hand_out()

    def served(self, epoch: int) -> None:
        """Notes that the server answered a request in full; `epoch` is what `take` returned."""
        self._judge(epoch, refused=False)
        if self._limit < self._most:
            self._limit = min(self._most, self._limit + 1 / self._limit)
            self._hand_out()

    def refused(self, epoch: int) -> None:
        """Notes that the server refused a request because it has too many; `epoch` is what `take` returned."""
        self._judge(epoch, refused=True)

    def _judge(self, epoch: int, refused: bool) -> None:
        if epoch != self._epoch:
            return
        self._seen += 1
        self._refusals += refused
        window = max(_SHORTEST_WINDOW, self.limit)
        too_many = self._refusals >= window * _TOO_LARGE_A_SHARE
        if too_many:
            self._limit = max(1.0, self._limit / 2)
            self._epoch += 1
        if too_many or self._seen >= window:
            self._seen = self._refusals = 0

    def _hand_out(self) -> None:
        while self.taken < self.limit and (self._retries or self._fresh):
            turn = (self._retries or self._fresh).popleft()
            # A cancelled waiter stays in line until here: to search for it would cost a walk over the whole line.
            if not turn.done():
                self.taken += 1
                turn.set_result(None)
