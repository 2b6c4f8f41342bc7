"""How many requests are sent in a minute."""

import asyncio


class Pace:
    """Sends requests evenly, so that no window of a minute holds more than a number of them; 0 is no bound."""

    def __init__(self, requests_per_minute: float = 0.0) -> None:
        self._between = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._next = 0.0

    async def turn(self) -> None:
        """Waits until the next request may be sent."""
        if not self._between:
            return
        now = asyncio.get_running_loop().time()
        due, self._next = max(now, self._next), max(now, self._next) + self._between
        if due > now:
            await asyncio.sleep(due - now)
