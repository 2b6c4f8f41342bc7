"""A process that goes down: calls end, and what watches ends at once."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from cultivar_service.draining import Calls
from cultivar_service.errors import Unavailable


async def test_it_waits_for_calls_that_are_being_answered() -> None:
    calls = Calls()
    ended = []

    async def answer() -> None:
        with calls.counted():
            await asyncio.sleep(0.05)
            ended.append(True)

    answering = asyncio.create_task(answer())
    await asyncio.sleep(0)
    await calls.drain(5)
    assert ended == [True]
    await answering


async def test_it_waits_no_longer_than_it_was_told() -> None:
    calls = Calls()
    with calls.counted():
        before = time.monotonic()
        await calls.drain(0.05)
        assert 0.05 <= time.monotonic() - before < 1


async def test_what_watches_ends_at_once_with_unavailable() -> None:
    calls, closed = Calls(), []

    async def changes() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    watching = calls.until_drained(changes())
    assert await anext(watching) == 1
    following = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0)
    await calls.drain(0)
    with pytest.raises(Unavailable, match="ask again"):
        await following
    assert closed == [True]


async def test_what_ends_by_itself_ends_as_it_would() -> None:
    async def changes() -> AsyncIterator[int]:
        yield 1
        yield 2

    assert [change async for change in Calls().until_drained(changes())] == [1, 2]
