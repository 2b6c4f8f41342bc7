"""The fake teacher as others see it: through the openai client, over HTTP, and as a program."""

import asyncio
import signal
import sys
from typing import Any

import aiohttp
import openai
import pytest
from cultivar_models import Endpoint, ModelClient, Sampling
from cultivar_models.fake import FakeSettings, FakeTeacher


def openai_of(teacher: FakeTeacher, **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=teacher.url, api_key="any", max_retries=0, **options)


async def test_the_openai_client_chats_completes_embeds_and_lists() -> None:
    async with FakeTeacher() as teacher, openai_of(teacher) as client:
        chat = await client.chat.completions.create(
            model="fake-teacher", messages=[{"role": "user", "content": "Where is my new card?"}], n=2
        )
        assert len({choice.message.content for choice in chat.choices}) == 2
        assert chat.usage is not None and chat.usage.total_tokens > chat.usage.prompt_tokens > 0
        done = await client.completions.create(model="fake-teacher", prompt=["Hello there", "Good morning"], stop=" ")
        assert [choice.index for choice in done.choices] == [0, 1]
        assert all(" " not in choice.text for choice in done.choices)
        vectors = await client.embeddings.create(model="all-minilm-l6-v2", input=["one", "two"])
        packed = [item.embedding for item in vectors.data]
        async with ModelClient(Endpoint(teacher.url, "all-minilm-l6-v2")) as ours:
            assert [pytest.approx(vector, abs=1e-6) for vector in await ours.embed(["one", "two"])] == packed
        assert "fake-teacher" in [model.id async for model in client.models.list()]


async def test_the_openai_client_reads_the_prompts_logprobs() -> None:
    async with FakeTeacher() as teacher, openai_of(teacher) as client:
        echoed = await client.completions.create(
            model="fake-teacher", prompt=["one two", "three"], echo=True, max_tokens=0, logprobs=1
        )
    first = echoed.choices[0]
    assert first.text == "one two" and first.logprobs is not None
    assert first.logprobs.tokens == ["one", " two"] and first.logprobs.text_offset == [0, 3]


async def test_the_openai_client_knows_the_errors_for_what_they_are() -> None:
    async with FakeTeacher(too_many_rate=1) as teacher, openai_of(teacher) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.completions.create(model="fake-teacher", prompt="hello")
        assert caught.value.response.headers["Retry-After"] == "1"
        with pytest.raises(openai.NotFoundError):
            await client.completions.create(model="unknown", prompt="hello")
        teacher.settings = FakeSettings()
        with pytest.raises(openai.BadRequestError):
            await client.completions.create(model="fake-teacher", prompt=[1, 2])


async def test_settings_and_counters_are_reached_over_http() -> None:
    async with FakeTeacher() as teacher, aiohttp.ClientSession() as session:
        root = teacher.url.removesuffix("/v1")
        async with session.post(f"{root}/settings", json={"latency_s": 0.01}) as answer:
            assert answer.status == 200 and teacher.settings.latency_s == 0.01
        async with session.post(f"{root}/settings", json={"speed": 9}) as answer:
            assert answer.status == 400
        async with ModelClient(Endpoint(teacher.url, "fake-teacher")) as client:
            for text in ("one", "one", "two"):
                await client.complete(text, Sampling())
        async with session.get(f"{root}/stats") as answer:
            stats = await answer.json()
        assert stats["calls"] == 3 and stats["distinct_bodies"] == 2 and stats["answered_twice"] == 1
        assert sorted(stats["calls_per_body"].values()) == [1, 2]
        async with session.post(f"{root}/reset") as answer:
            assert (await answer.json())["calls"] == 0


async def test_as_a_program_it_prints_its_url_serves_and_ends_when_told() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cultivar_models.fake", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        url = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
        async with ModelClient(Endpoint(url, "fake-teacher")) as client:
            await client.wait_ready(10)
            assert (await client.complete("Where is my new card?", Sampling())).text
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 5) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
