"""The next item is worked on while the last one is used."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from cultivar_filtering.ahead import one_ahead


async def counted(log: list[str], most: int) -> AsyncGenerator[int, None]:
    """Counts, and notes when it begins with a number and when it is closed."""
    try:
        for number in range(1, most + 1):
            log.append(f"begun {number}")
            await asyncio.sleep(0)
            yield number
    finally:
        log.append("closed")


async def test_the_next_item_is_begun_before_the_last_one_is_used_and_no_more_than_that() -> None:
    log: list[str] = []
    async for number in one_ahead(counted(log, 3)):
        log.append(f"used {number}")
        await asyncio.sleep(0.01)
    assert log == ["begun 1", "begun 2", "used 1", "begun 3", "used 2", "closed", "used 3"]


async def test_what_is_begun_is_closed_when_nobody_wants_more() -> None:
    log: list[str] = []
    items = one_ahead(counted(log, 9))
    assert await anext(items) == 1
    await items.aclose()
    assert log == ["begun 1", "begun 2", "closed"]


async def test_an_error_reaches_who_uses_the_items_after_those_before_it() -> None:
    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        raise ZeroDivisionError

    items = one_ahead(broken())
    assert await anext(items) == 1
    with pytest.raises(ZeroDivisionError):
        await anext(items)
