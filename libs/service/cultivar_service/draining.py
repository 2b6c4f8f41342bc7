"""What a process answers now, and how it ends that when it goes down."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from cultivar_service.errors import Unavailable


class Calls:
    """The calls that are being answered; once the process goes down, those that only watch end at once."""

    def __init__(self) -> None:
        self._open = 0
        self._none = asyncio.Event()
        self._none.set()
        self._going_down = asyncio.Event()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Counts a call from its beginning to its end."""
        self._open += 1
        self._none.clear()
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self._none.set()

    async def drain(self, seconds: float) -> None:
        """Ends what watches, and waits some seconds at most for the other calls."""
        self._going_down.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._none.wait()

    async def until_drained(self, responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yields what a call streams; raises Unavailable as soon as the process goes down."""
        down = asyncio.ensure_future(self._going_down.wait())
        following: asyncio.Future[Any] | None = None
        try:
            while True:
                following = asyncio.ensure_future(anext(responses, responses))
                await asyncio.wait({following, down}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    raise Unavailable("this process goes down: ask again, another one or the next answers")
                if following.result() is responses:
                    return
                yield following.result()
        finally:
            down.cancel()
            if following is not None:
                following.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await following
