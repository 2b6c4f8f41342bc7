"""What clients of one server share, and who stands in which line."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from cultivar_models import Endpoint, Lines, ModelClient, Sampling
from cultivar_models.fake import FakeTeacher

HERE = Endpoint("http://here/v1", "one", api_key="a")
SAMPLING = Sampling(max_tokens=8)


async def ask(client: ModelClient, calls: int) -> None:
    await asyncio.gather(*(client.complete(f"hello {number}", SAMPLING) for number in range(calls)))


async def test_two_clients_of_one_line_have_no_more_requests_under_way_than_one_may() -> None:
    lines = Lines()
    async with FakeTeacher(latency_s=0.01) as teacher, AsyncExitStack() as stack:
        endpoint = Endpoint(teacher.url, "fake-teacher")
        clients = [await stack.enter_async_context(ModelClient(endpoint, line=lines.to(endpoint, 4))) for _ in range(2)]
        await asyncio.gather(*(ask(client, 20) for client in clients))
        assert teacher.stats.peak_in_flight == 4 and teacher.stats.calls == 40


async def test_who_comes_later_begins_with_what_others_learned() -> None:
    lines = Lines()
    async with FakeTeacher(latency_s=0.01) as teacher:
        endpoint = Endpoint(teacher.url, "fake-teacher")
        for first, learned in ((16, 64), (64, 64)):
            async with ModelClient(endpoint, line=lines.to(endpoint, 64)) as client:
                assert client.slots.limit == first
                await ask(client, 400)
                assert client.slots.limit == learned


async def test_a_limit_that_had_fallen_rises_again_for_whoever_finds_the_line_empty() -> None:
    lines = Lines()
    async with FakeTeacher(latency_s=0.01) as teacher:
        endpoint = Endpoint(teacher.url, "fake-teacher")
        fallen = lines.to(endpoint, 64).slots
        while fallen.limit > 1:
            fallen.refused(await fallen.take())
            fallen.give_back()
        async with ModelClient(endpoint, line=lines.to(endpoint, 64)) as client:
            await ask(client, 400)
            assert client.slots.limit == 64


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
