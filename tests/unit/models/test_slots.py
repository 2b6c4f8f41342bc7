"""The bound on requests under way, and how refusals move it."""

import asyncio

import pytest
from cultivar_models.slots import Slots
from hypothesis import given
from hypothesis import strategies as st


@given(limit=st.integers(1, 4), steps=st.lists(st.tuples(st.sampled_from("tgc"), st.integers(0, 9)), max_size=40))
def test_however_waiters_come_and_go_no_slot_is_lost_or_lent_twice(limit: int, steps: list[tuple[str, int]]) -> None:
    async def play() -> None:
        slots = Slots(limit)
        waiting: list[asyncio.Task[int]] = []
        for step, number in steps:
            held = [task for task in waiting if task.done()]
            if step == "t":
                waiting.append(asyncio.create_task(slots.take(again=number % 2 == 0)))
            elif step == "g" and held:
                waiting.remove(held[number % len(held)])
                slots.give_back()
            elif step == "c" and waiting:
                task = waiting[number % len(waiting)]
                if task.cancel():
                    waiting.remove(task)
            if number % 3:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        held = [task for task in waiting if task.done()]
        assert slots.taken == len(held) <= limit
        assert len(held) == limit or len(held) == len(waiting)
        for task in waiting:
            task.cancel()

    asyncio.run(play())


async def test_a_retry_goes_before_calls_that_were_never_tried() -> None:
    slots = Slots(1)
    await slots.take()
    order: list[str] = []

    async def wait(name: str, again: bool) -> None:
        await slots.take(again)
        order.append(name)
        slots.give_back()

    tasks = [asyncio.create_task(wait("fresh", False)), asyncio.create_task(wait("retry", True))]
    await asyncio.sleep(0)
    slots.give_back()
    await asyncio.gather(*tasks)
    assert order == ["retry", "fresh"]


async def round_of(slots: Slots, refused: int, retry_after: float | None = None) -> None:
    """Fills all slots, lets so many of the requests be refused and answers the others."""
    epochs = [await slots.take() for _ in range(slots.limit)]
    for place, epoch in enumerate(epochs):
        if place < refused:
            slots.refused(epoch, retry_after)
        else:
            slots.served(epoch, 0.05)
    for _ in epochs:
        slots.give_back()


async def test_the_limit_doubles_round_by_round_up_to_what_is_allowed() -> None:
    slots, seen = Slots(100), []
    for _ in range(5):
        seen.append(slots.limit)
        await round_of(slots, 0)
    assert seen == [16, 32, 64, 100, 100]


async def test_a_small_share_of_refusals_does_not_keep_the_limit_down_though_they_come_first() -> None:
    slots = Slots(64)
    for _ in range(50):
        await round_of(slots, slots.limit // 8)
    assert slots.limit == 64


async def test_a_third_refused_halves_the_limit_once_for_all_that_were_under_way() -> None:
    slots = Slots(64)
    while slots.limit < 64:
        await round_of(slots, 0)
    await round_of(slots, 64)
    assert slots.limit == 32


async def test_answers_bring_the_limit_back_to_where_it_began() -> None:
    slots = Slots(8)
    for _ in range(100):
        slots.refused(await slots.take())
        slots.give_back()
    assert slots.limit == 1
    for _ in range(200):
        await round_of(slots, 0)
    assert slots.limit == 8


async def test_a_limit_that_is_not_used_does_not_grow() -> None:
    slots = Slots(64)
    for _ in range(500):
        slots.served(await slots.take(), 0.05)
        slots.give_back()
    assert slots.limit == 16


async def test_a_retry_after_holds_back_everybody_only_where_many_are_refused() -> None:
    slots = Slots(64)
    await round_of(slots, 4, retry_after=30)
    await asyncio.wait_for(slots.take(), 0.1)
    slots.give_back()
    await round_of(slots, slots.limit, retry_after=0.2)
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(slots.take(), 5)
    assert asyncio.get_running_loop().time() - began >= 0.19


def test_no_concurrency_at_all_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="concurrency is 0"):
        Slots(0)
