"""The client and the fake teacher with many calls at once, faults among them."""

import asyncio
import re
from collections.abc import Callable

from cultivar_models import Endpoint, MemoryRecorder, ModelClient, RetryPolicy, Sampling
from cultivar_models.fake import FakeSettings, FakeTeacher

CALLS = 1000
FAULTS = FakeSettings(
    latency_s=0.02,
    too_many_rate=0.05,
    retry_after_s=0.05,
    error_rate=0.02,
    hang_rate=0.005,
    broken_rate=0.01,
    empty_rate=0.01,
    drop_rate=0.01,
)
POLICY = RetryPolicy(retries=10, invalid_retries=5, deadline_s=30, first_wait_s=0.02, longest_wait_s=0.1)


async def ask_all(client: ModelClient, count: int = CALLS) -> list[str]:
    async def ask(number: int) -> str:
        messages = [{"role": "user", "content": f"Rewrite: the order code{number} has not come"}]
        return (await client.chat(messages, Sampling(seed=number), call=f"row/{number}")).text

    return list(await asyncio.gather(*(ask(number) for number in range(count))))


async def until(holds: Callable[[], bool]) -> None:
    """Waits five seconds at most."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("what was waited for did not come to be")


async def test_a_thousand_calls_with_faults_lose_none_and_mix_up_none() -> None:
    async with FakeTeacher(FAULTS) as teacher:
        endpoint, recorder = Endpoint(teacher.url, "fake-teacher"), MemoryRecorder()
        async with ModelClient(endpoint, concurrency=64, policy=POLICY, timeout_s=1, recorder=recorder) as client:
            texts = await ask_all(client)
            paid = client.usage
            assert await ask_all(client) == texts
    assert [re.findall(r"code(\d+)", text)[0] for text in texts] == [str(number) for number in range(CALLS)]
    assert teacher.stats.peak_in_flight <= 64 and teacher.stats.in_flight == 0
    assert teacher.stats.answered_twice == 0
    assert teacher.stats.calls == paid.calls == CALLS + paid.failed_calls
    assert min(teacher.stats.outcomes[fault] for fault in ("too_many", "error", "broken", "empty", "drop")) > 0
    assert client.usage.cached_calls == CALLS and client.usage.calls == paid.calls


async def test_what_a_cut_off_run_has_paid_the_next_one_does_not_pay() -> None:
    recorder = MemoryRecorder()
    async with FakeTeacher(latency_s=0.02) as teacher:
        endpoint = Endpoint(teacher.url, "fake-teacher")
        async with ModelClient(endpoint, concurrency=16, recorder=recorder) as client:
            cut_off = asyncio.create_task(ask_all(client, 200))
            await until(lambda: len(recorder.answers) >= 50)
            cut_off.cancel()
            await asyncio.gather(cut_off, return_exceptions=True)
        kept = len(recorder.answers)
        async with ModelClient(endpoint, concurrency=16, recorder=recorder) as client:
            assert len(await ask_all(client, 200)) == 200
            assert client.usage.cached_calls == kept and 50 <= kept < 200
    # What was under way at the cut may have been billed without being recorded; nothing else is asked for twice.
    assert teacher.stats.calls <= 200 + 16 and teacher.stats.answered_twice <= 16
