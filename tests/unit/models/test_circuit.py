"""A server that answers nobody: who asks whether it is back, how often, and when the others give up."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from cultivar_models import Endpoint, ModelClient, ModelUnavailable, RetryPolicy, Sampling
from cultivar_models.circuit import Circuit
from cultivar_models.fake import FakeSettings, FakeTeacher

POLICY = RetryPolicy(retries=3, deadline_s=30, first_wait_s=0.02, longest_wait_s=0.1)


async def opened(patience_s: float = 60) -> Circuit:
    """A circuit after ten failures."""
    circuit = Circuit(patience_s)
    for _ in range(10):
        assert not circuit.open
        circuit.failed(asked=False)
    return circuit


async def test_it_opens_after_ten_failures_without_an_answer_among_them() -> None:
    circuit = Circuit(60)
    for _ in range(5):
        for _ in range(9):
            circuit.failed(asked=False)
        circuit.answered()
    assert not circuit.open
    assert (await opened()).open


async def test_one_asks_at_a_time_and_an_answer_lets_all_go() -> None:
    circuit = await opened()
    ends = asyncio.get_running_loop().time() + 60
    turns = [asyncio.create_task(circuit.turn(ends)) for _ in range(5)]
    done, waiting = await asyncio.wait(turns, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 1 and done.pop().result() is True
    await asyncio.sleep(0.6)
    assert not any(turn.done() for turn in waiting)
    assert circuit.answered()
    assert await asyncio.gather(*waiting) == [False] * 4 and not circuit.open


async def test_a_turn_that_was_given_up_goes_to_the_next() -> None:
    circuit = await opened()
    ends = asyncio.get_running_loop().time() + 60
    first, second = (asyncio.create_task(circuit.turn(ends)) for _ in range(2))
    assert await first is True
    circuit.abandoned()
    assert await asyncio.wait_for(second, 0.1) is True


async def test_who_waits_is_told_at_its_deadline_and_at_once_when_all_patience_is_spent() -> None:
    circuit = await opened(patience_s=0.3)
    clock = asyncio.get_running_loop().time
    with pytest.raises(TimeoutError):
        await circuit.turn(clock() + 0.1)
    await asyncio.sleep(0.25)
    began = clock()
    with pytest.raises(TimeoutError):
        await circuit.turn(clock() + 60)
    assert clock() - began < 0.1 and "UTC" in circuit.silent_since


async def ask(client: ModelClient, number: int) -> str:
    messages = [{"role": "user", "content": f"Rewrite: the order code{number} has not come"}]
    return (await client.chat(messages, Sampling(seed=number), call=f"row/{number}")).text


async def test_a_server_that_is_dead_for_seconds_loses_no_call_and_is_hardly_asked_meanwhile() -> None:
    async with AsyncExitStack() as stack:
        teacher = await stack.enter_async_context(FakeTeacher(latency_s=0.02))
        endpoint = Endpoint(teacher.url, "fake-teacher")
        client = await stack.enter_async_context(ModelClient(endpoint, concurrency=32, policy=POLICY))
        calls = [asyncio.create_task(ask(client, number)) for number in range(600)]
        while teacher.stats.outcomes["answered"] < 100:
            await asyncio.sleep(0.01)
        # An error takes as long as an answer: those to what was sent before come first, and not among the errors.
        teacher.settings = FakeSettings(latency_s=0.02, error_rate=1)
        await asyncio.sleep(0.2)
        before = teacher.stats.calls
        await asyncio.sleep(3)
        asked = teacher.stats.calls - before
        teacher.settings = FakeSettings(latency_s=0.02)
        texts = await asyncio.wait_for(asyncio.gather(*calls), 20)
    assert all(f"code{number}" in text for number, text in enumerate(texts))
    assert 1 <= asked <= 4
    assert teacher.stats.outcomes["error"] <= 2 * 32


async def test_a_call_to_a_dead_server_ends_at_its_deadline_and_says_since_when() -> None:
    policy = RetryPolicy(retries=100, deadline_s=1.5, first_wait_s=0.01, longest_wait_s=0.02)
    async with FakeTeacher() as teacher:
        gone = teacher.url
    async with ModelClient(Endpoint(gone, "fake-teacher"), policy=policy) as client:
        began = asyncio.get_running_loop().time()
        ended = await asyncio.gather(*(ask(client, number) for number in range(20)), return_exceptions=True)
        assert asyncio.get_running_loop().time() - began < 3
    assert all(isinstance(one, ModelUnavailable) for one in ended)
    assert any("has answered nobody since 20" in str(one) and "could not be reached" in str(one) for one in ended)
