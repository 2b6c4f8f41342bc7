"""What is done while a server answers nobody: one request at a time asks whether it is back, the others wait."""

import asyncio
from collections import deque
from datetime import UTC, datetime

_OPENS_AFTER = 10
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0


class Circuit:
    """Opens after ten failures (no connection, 5xx, no answer in time) with no answer among them, closes at the first.

    While it is open, requests wait for their turn; the pause between two doubles from half a second to 15. Once it was
    open for patience_s, requests are no longer kept waiting: each ends at once unless it is its turn to ask.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._failures = 0
        self._pause = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._due = False
        self._opened = 0.0
        self._since: datetime | None = None
        self.open = False

    @property
    def silent_since(self) -> str:
        """Since when the server has answered nobody, empty where it does answer."""
        return f"{self._since:%Y-%m-%d %H:%M:%S} UTC" if self.open and self._since else ""

    async def turn(self, ends: float) -> bool:
        """Waits until a request may be sent; tells whether it is the one that asks. Raises TimeoutError at `ends`."""
        loop = asyncio.get_running_loop()
        if self._due:
            self._due = False
            return True
        ends = min(ends, self._opened + self._patience_s)
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout_at(ends):
                return await waiter
        except (TimeoutError, asyncio.CancelledError):
            if waiter.done() and not waiter.cancelled() and waiter.result():
                self.abandoned()
            raise

    def failed(self, asked: bool) -> None:
        """Notes a failure; `asked` says that `turn` sent it to ask."""
        self._since = self._since or datetime.now(UTC)
        self._failures += 1
        if self.open and asked:
            self._wait_before_next()
        elif not self.open and self._failures >= _OPENS_AFTER:
            self.open, self._opened = True, asyncio.get_running_loop().time()
            self._wait_before_next()

    def abandoned(self) -> None:
        """Notes that the request which was sent to ask was given up before anything came of it."""
        self._let_one()

    def answered(self) -> bool:
        """Notes an answer of any kind; tells whether the circuit was open, and lets all that waits go."""
        self._failures, self._since = 0, None
        if not self.open:
            return False
        self.open, self._due, self._pause = False, False, 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(False)
        return True

    def _wait_before_next(self) -> None:
        self._pause = min(_LONGEST_PAUSE_S, 2 * self._pause or _FIRST_PAUSE_S)
        self._timer = asyncio.get_running_loop().call_later(self._pause, self._let_one)

    def _let_one(self) -> None:
        self._timer = None
        if not self.open:
            return
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(True)
                return
        self._due = True
