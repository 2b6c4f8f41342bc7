"""What clients of one server share, and who stands in which line."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from cultivar_models import Endpoint, Lines, ModelClient, Sampling
from cultivar_models.fake import FakeTeacher
from cultivar_models.slots import Slots

HERE = Endpoint("http://here/v1", "one", api_key="a")
SAMPLING = Sampling(max_tokens=8)


async def ask(client: ModelClient, calls: int) -> None:
    await asyncio.gather(*(client.complete(f"hello {number}", SAMPLING) for number in range(calls)))


async def fill(slots: Slots, rounds: int) -> None:
    """Fills all slots again and again; each request is answered in the same time."""
    for _ in range(rounds):
        epochs = [await slots.take() for _ in range(slots.limit)]
        for epoch in epochs:
            slots.served(epoch, 0.05)
        for _ in epochs:
            slots.give_back()


async def test_two_clients_of_one_line_have_no_more_requests_under_way_than_one_may() -> None:
    lines = Lines()
    async with FakeTeacher(latency_s=0.01) as teacher, AsyncExitStack() as stack:
        endpoint = Endpoint(teacher.url, "fake-teacher")
        clients = [await stack.enter_async_context(ModelClient(endpoint, line=lines.to(endpoint, 4))) for _ in range(2)]
        await asyncio.gather(*(ask(client, 20) for client in clients))
        assert teacher.stats.peak_in_flight == 4 and teacher.stats.calls == 40


async def test_who_comes_later_begins_with_what_others_learned() -> None:
    lines = Lines()
    await fill(lines.to(HERE, 64).slots, rounds=3)
    assert lines.to(HERE, 64).slots.limit == 64


async def test_a_limit_that_had_fallen_doubles_again_for_whoever_finds_the_line_empty() -> None:
    lines = Lines()
    slots = lines.to(HERE, 64).slots
    while slots.limit > 1:
        slots.refused(await slots.take())
        slots.give_back()
    await fill(lines.to(HERE, 64).slots, rounds=6)
    assert slots.limit == 64


async def test_who_comes_while_others_call_does_not_let_their_limit_rise() -> None:
    lines = Lines()
    slots = lines.to(HERE, 64).slots
    while slots.limit > 1:
        slots.refused(await slots.take())
        slots.give_back()
    await slots.take()
    lines.to(HERE, 64)
    slots.give_back()
    await fill(slots, rounds=6)
    assert slots.limit == 1


@pytest.mark.parametrize(
    "other",
    [
        {"url": "http://there/v1"},
        {"model": "another"},
        {"api_key": "b"},
        {"headers": {"OpenAI-Project": "mine"}},
    ],
)
def test_another_server_model_or_customer_has_another_line(other: dict[str, Any]) -> None:
    lines = Lines()
    assert lines.to(HERE, 8) is lines.to(replace(HERE), 8)
    assert lines.to(HERE, 8) is not lines.to(replace(HERE, **other), 8)


def test_other_bounds_make_another_line() -> None:
    lines = Lines()
    assert len({id(lines.to(HERE, *bounds)) for bounds in ((8,), (9,), (8, 60.0))}) == 3
