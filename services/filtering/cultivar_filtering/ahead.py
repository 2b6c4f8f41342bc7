"""Work that goes on while its last result is used."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import TypeVar

Item = TypeVar("Item")


async def one_ahead(items: AsyncGenerator[Item, None]) -> AsyncGenerator[Item, None]:
    """Yields what a generator yields, which is at its next item meanwhile; closes it at the end."""
    async with aclosing(items):
        coming = asyncio.ensure_future(anext(items, None))
        try:
            while (item := await coming) is not None:
                coming = asyncio.ensure_future(anext(items, None))
                # The next item is begun before who takes this one begins with it.
                await asyncio.sleep(0)
                yield item
        finally:
            coming.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await coming
