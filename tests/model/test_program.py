"""The whole program: Ray, Serve, HTTP, real clients."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from cultivar_launchers import LocalRay, LocalRayLauncher, Program
from cultivar_models import Endpoint, ModelClient, ModelRejected, Sampling
from pydantic import BaseModel, Field

from tests.programs import peer

KEY = "the-key-of-this-test"
MODULE = "cultivar_generation.teachers"
TEXT_MODEL = "smollm2-135m-instruct"
EMBEDDING_MODEL = "all-minilm-l6-v2"
START_SECONDS = 240.0


@dataclass
class Served:
    process: "subprocess.Popen[str]"
    url: str
    temporary: Path

    def family(self) -> list[psutil.Process]:
        """All processes below the program."""
        return psutil.Process(self.process.pid).children(recursive=True)


def start(spec: dict[str, Any], temporary: Path, key: str = KEY) -> "subprocess.Popen[str]":
    file = temporary / "spec.json"
    file.write_text(json.dumps(spec))
    environment = {**os.environ, "CULTIVAR_TEACHERS_KEY": key, "TMPDIR": str(temporary)}
    return subprocess.Popen(
        [sys.executable, "-m", MODULE, "--spec", str(file)], stdout=subprocess.PIPE, text=True, env=environment
    )


def events(process: "subprocess.Popen[str]") -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            yield json.loads(line)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    # Unix sockets have short names: not below pytest's own folder.
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:
        process = start({"port": 0, "queue_pieces": 40}, Path(folder))
        ready = next(events(process))
        assert ready["event"] == "ready", ready
        yield Served(process, ready["url"], Path(folder))
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def endpoint(served: Served, model: str = TEXT_MODEL, key: str = KEY) -> Endpoint:
    return Endpoint(served.url, model, key)


def test_the_openai_client_works(served: Served) -> None:
    from openai import AuthenticationError, NotFoundError, OpenAI

    with OpenAI(base_url=served.url, api_key=KEY, max_retries=0) as client:
        assert [model.id for model in client.models.list()] == [TEXT_MODEL, EMBEDDING_MODEL]
        question: Any = [{"role": "user", "content": "What is the capital of France?"}]
        chat = client.chat.completions.create(
            model=TEXT_MODEL, messages=question, temperature=0, max_tokens=12, logprobs=True, top_logprobs=2
        )
        assert "Paris" in (chat.choices[0].message.content or "")
        assert chat.choices[0].logprobs is not None
        completion = client.completions.create(model=TEXT_MODEL, prompt="1 2 3 4", max_tokens=4, n=2, seed=1)
        assert len(completion.choices) == 2
        # The client asks for base64 and unpacks it.
        vectors = client.embeddings.create(model=EMBEDDING_MODEL, input=["a cat", "a dog"]).data
        assert len(vectors[1].embedding) == 384
        with pytest.raises(NotFoundError):
            client.completions.create(model="other", prompt="x")
    with OpenAI(base_url=served.url, api_key="wrong", max_retries=0) as stranger, pytest.raises(AuthenticationError):
        stranger.models.list()


def test_the_openai_client_reads_streams(served: Served) -> None:
    from openai import OpenAI, RateLimitError

    question: Any = [{"role": "user", "content": "Count from one to ten in words."}]
    asked: dict[str, Any] = {"model": TEXT_MODEL, "temperature": 0, "max_tokens": 40}
    with OpenAI(base_url=served.url, api_key=KEY, max_retries=0) as client:
        unstopped = client.chat.completions.create(messages=question, **asked).choices[0].message.content or ""
        # A stop string in the middle of words, so that it begins and ends within tokens.
        stop = unstopped[30:36]
        whole = client.chat.completions.create(messages=question, stop=[stop], **asked)
        options: Any = {"include_usage": True}
        chunks = list(
            client.chat.completions.create(
                messages=question, stop=[stop], stream=True, stream_options=options, logprobs=True, **asked
            )
        )
        parts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        assert len(parts) > 3
        assert "".join(parts) == whole.choices[0].message.content == unstopped.partition(stop)[0]
        assert chunks[-1].usage == whole.usage
        assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
        texts = {0: "", 1: ""}
        for part in client.completions.create(prompt="Once upon a time", n=2, seed=1, stream=True, **asked):
            texts[part.choices[0].index] += part.choices[0].text
        assert list(texts.values()) == [
            choice.text for choice in client.completions.create(prompt="Once upon a time", n=2, seed=1, **asked).choices
        ]
        with pytest.raises(RateLimitError):
            client.completions.create(prompt="a", n=50, stream=True, **asked)


class Cities(BaseModel):
    cities: list[str] = Field(min_length=3, max_length=3)
    sure: bool


def test_the_openai_client_parses_answers_into_its_own_types(served: Served) -> None:
    from openai import BadRequestError, OpenAI

    question: Any = [{"role": "user", "content": "Name three cities."}]
    with OpenAI(base_url=served.url, api_key=KEY, max_retries=0) as client:
        for seed in range(4):
            answer = client.chat.completions.parse(
                model=TEXT_MODEL, messages=question, response_format=Cities, max_tokens=400, seed=seed
            )
            assert answer.choices[0].message.parsed is not None
            assert len(answer.choices[0].message.parsed.cities) == 3
        unheld: Any = {"type": "json_schema", "json_schema": {"name": "set", "schema": {"uniqueItems": True}}}
        with pytest.raises(BadRequestError, match="uniqueItems"):
            client.chat.completions.create(model=TEXT_MODEL, messages=question, response_format=unheld)


PEER = """
import sys
from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration

url, key, model, cache = sys.argv[1:]
if __name__ == "__main__":
    with Pipeline("peer", cache_dir=cache) as pipeline:
        rows = LoadDataFromDicts(data=[{"instruction": f"Name a fruit, number {n}."} for n in range(6)])
        llm = OpenAILLM(model=model, base_url=url, api_key=key, generation_kwargs={"max_new_tokens": 12})
        rows >> TextGeneration(llm=llm, input_batch_size=6)
    made = pipeline.run(use_cache=False)["default"]["train"]
    print("WRITTEN", sum(bool(text and text.strip()) for text in made["generation"]))
"""


def test_a_peers_generator_works_against_it_unchanged(served: Served, tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(PEER)
    words = [peer("distilabel"), str(tmp_path / "run.py"), served.url, KEY, TEXT_MODEL, str(tmp_path / "cache")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert "WRITTEN 6" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]


async def test_our_own_client_works(served: Served) -> None:
    async with ModelClient(endpoint(served)) as client:
        await client.wait_ready(timeout_s=30)
        answer = await client.chat([{"role": "user", "content": "Say hello."}], Sampling(temperature=0, max_tokens=8))
        assert answer.usage.completion_tokens > 0
        likely, unlikely = await client.score(
            [("The capital of France is", " Paris"), ("The capital of France is", " soup")]
        )
        assert likely.logprob > unlikely.logprob
        with pytest.raises(ModelRejected):
            await client.complete("word " * 9_000, Sampling(max_tokens=8))
    async with ModelClient(endpoint(served, EMBEDDING_MODEL)) as client:
        assert len((await client.embed(["a cat"]))[0]) == 384


async def test_a_full_queue_answers_429_with_the_time_to_come_back(served: Served) -> None:
    body = {"model": TEXT_MODEL, "prompt": "Once upon a time", "max_tokens": 64, "n": 20}

    async def ask(session: aiohttp.ClientSession) -> tuple[int, str | None]:
        async with session.post(f"{served.url}/completions", json=body) as response:
            return response.status, response.headers.get("Retry-After")

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
        found = await asyncio.gather(*[ask(session) for _ in range(6)])
    assert (200, None) in found
    refused = [after for status, after in found if status == 429]
    assert refused
    assert all(after is not None and 1 <= int(after) <= 60 for after in refused)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_frees_its_place(served: Served, stream: bool) -> None:
    body = {"model": TEXT_MODEL, "prompt": "Once upon a time", "max_tokens": 1_500, "n": 30, "stream": stream}
    headers = {"Authorization": f"Bearer {KEY}"}
    timeout = aiohttp.ClientTimeout(total=3)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        with pytest.raises(TimeoutError):
            async with session.post(f"{served.url}/completions", json=body) as response:
                assert response.status == 200
                await response.read()
    async with ModelClient(endpoint(served), retries=8) as client:
        began = time.monotonic()
        for _ in range(2):
            await client.complete("1 2 3", Sampling(max_tokens=2, n=20))
        assert time.monotonic() - began < 30


def test_every_port_is_on_loopback(served: Served) -> None:
    listening = [
        (process.name(), connection.laddr.ip)
        for process in [psutil.Process(served.process.pid), *served.family()]
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) > 3
    assert {address for _, address in listening} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}, listening


def test_the_key_is_in_no_log_and_on_no_command_line(served: Served) -> None:
    lines = [" ".join(process.cmdline()) for process in served.family()]
    logs = [path.read_bytes() for path in served.temporary.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(logs) > 5
    assert not any(KEY in line for line in lines)
    assert not any(KEY.encode() in log or b"Once upon a time" in log for log in logs)


def test_sigterm_ends_it_and_leaves_nothing(served: Served) -> None:
    family = served.family()
    assert family
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(60) == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    assert [path.name for path in served.temporary.iterdir()] == ["spec.json"]


@pytest.mark.parametrize(
    ("spec", "key", "status", "words"),
    [
        ({}, "", 2, "CULTIVAR_TEACHERS_KEY"),
        ({"port": -1}, KEY, 2, "port"),
        ({"ray_address": "127.0.0.1:1"}, KEY, 1, "nothing listens"),
    ],
)
def test_a_program_that_cannot_start_says_why(
    spec: dict[str, Any], key: str, status: int, words: str, tmp_path: Path
) -> None:
    process = start(spec, tmp_path, key)
    (error,) = events(process)
    assert error["event"] == "error"
    assert words in error["message"]
    assert process.wait(60) == status
    assert [path.name for path in tmp_path.iterdir()] == ["spec.json"]


async def test_on_a_standing_ray_a_new_program_takes_over_from_a_killed_one(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:
        ray = LocalRay(Path(folder), cpus=2)
        launcher = LocalRayLauncher(ray)
        try:
            for attempt in (1, 2):
                spec = {"port": 0, "key_file": str(key_file), "embedding_model": ""}
                job = await launcher.start(Program("teachers", MODULE, spec=spec, attempt=attempt))
                ready = await asyncio.wait_for(anext(aiter(job.events())), START_SECONDS)
                assert ready.kind == "ready", ready
                async with ModelClient(Endpoint(ready.fields["url"], TEXT_MODEL, KEY)) as client:
                    assert (await client.complete("1 2 3", Sampling(max_tokens=2))).usage.completion_tokens == 2
                if attempt == 1:
                    (program,) = [
                        process
                        for process in psutil.Process(os.getpid()).children(recursive=True)
                        if process.cmdline()[1:3] == ["-m", MODULE]
                    ]
                    program.kill()
                    await job.wait()
            await job.stop(30)
        finally:
            await ray.stop()
