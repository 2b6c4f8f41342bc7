"""The generation service against a bare aiohttp loop: the same calls, 64 in flight, to a teacher that takes 50 ms.

Once the teacher answers every call, once it refuses some and fails others, once it leaves some unanswered too.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from cultivar.cli.augment import generate, import_seeds
from cultivar.client import Client
from cultivar.connection import ENDPOINT_FILE, find_connection
from cultivar.example.v1 import example_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from rich.console import Console

from benchmarks.comparison import Comparison, Sample, Side, Stopwatch

ROWS = int(os.environ.get("BENCH_ROWS", "5000"))
IN_FLIGHT = 64
LATENCY = {"latency_s": 0.05}
FAULTS = {**LATENCY, "too_many_rate": 0.05, "retry_after_s": 1.0, "error_rate": 0.02}
HANGS = {**FAULTS, "hang_rate": 0.01}
PATIENCE = 5
USE = pb.StrategyUse(strategy="rewrite", count=ROWS)
TRIES = 8
FIRST_PAUSE = 0.25
MODEL = "fake-teacher"
SEEDS = Path(__file__).parents[1] / "examples" / "support" / "seeds.jsonl"
LABELS = ("refund", "delivery", "password", "invoice", "cancel", "exchange", "damaged", "discount")
TASK = example_pb2.Task(kind=example_pb2.TASK_KIND_CLASSIFICATION, labels=LABELS)


@asynccontextmanager
async def sides(teacher_settings: Mapping[str, float]) -> AsyncIterator[Mapping[str, Side]]:
    """Starts a fake teacher and a `cultivar up` in processes of their own; both sides call the same teacher."""
    teacher, url = await fake_teacher(teacher_settings)
    try:
        async with our_sides(url) as ours:
            yield ours
    finally:
        await ended(teacher)


async def fake_teacher(settings: Mapping[str, float]) -> tuple[asyncio.subprocess.Process, str]:
    """Starts a fake teacher; returns it with its URL."""
    teacher = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cultivar_models.fake", "--settings", json.dumps(settings)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert teacher.stdout is not None
    return teacher, (await teacher.stdout.readline()).decode().strip()


@asynccontextmanager
async def our_sides(url: str, model: str = MODEL, in_flight: int = IN_FLIGHT) -> AsyncIterator[Mapping[str, Side]]:
    """Starts a `cultivar up` that calls a teacher; the other side is the bare loop with the same teacher."""
    async with our_server(url, model, in_flight) as (up, client, seeds):

        async def cultivar(repeat: int) -> Sample:
            watch = Stopwatch(up.pid)
            run = await asyncio.to_thread(generate, client, QUIET, seeds, TASK, USE, "fake")
            sample = watch.sample(run.run.progress.counts["answered"])
            if sample.units != ROWS:
                raise RuntimeError(f"{ROWS} calls gave {sample.units} answers")
            return sample

        yield {"cultivar": cultivar, "bare aiohttp": lambda repeat: bare(url, repeat, in_flight)}


@asynccontextmanager
async def our_server(
    url: str, model: str = MODEL, in_flight: int = IN_FLIGHT
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Client, str]]:
    """Starts a `cultivar up` that knows a teacher; gives its process, its client and the artifact of the seeds."""
    with tempfile.TemporaryDirectory(prefix="cultivar-bench-") as folder:
        up = await start_up(Path(folder))
        try:
            client = Client(find_connection(Path(folder)))
            yield up, client, await asyncio.to_thread(prepare, client, url, model, in_flight)
            client.channel.close()
        finally:
            await ended(up)


async def ended(process: asyncio.subprocess.Process) -> None:
    """Ends a process."""
    process.terminate()
    await process.wait()


QUIET = Console(file=open(os.devnull, "w"))  # noqa: SIM115


async def start_up(folder: Path) -> asyncio.subprocess.Process:
    """Starts `cultivar up` with what a generation run needs, everything recorded as ever; waits until it answers."""
    # Embedded PostgreSQL runs as another user where we are root.
    folder.chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cultivar_standalone", "--data-dir", str(folder), "--only", "generation,datasets"),
        *("--port", "0", "--metrics-port", "0"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=(folder / "up.log").open("wb"),
    )
    async with asyncio.timeout(60):
        while not (folder / ENDPOINT_FILE).exists():
            if process.returncode is not None:
                raise RuntimeError((folder / "up.log").read_text()[-2000:])
            await asyncio.sleep(0.1)
    return process


def prepare(client: Client, teacher_url: str, model: str, in_flight: int) -> str:
    """Registers the teacher and imports the seeds; returns their artifact."""
    teacher = pb.Teacher(url=teacher_url, model=model, concurrency=in_flight, timeout_seconds=PATIENCE)
    client.generation.RegisterTeacher(
        pb.RegisterTeacherRequest(parent=client.parent, teacher_id="fake", teacher=teacher, skip_probe=True)
    )
    return str(import_seeds(client, QUIET, SEEDS, TASK, False).artifacts["seeds"])


async def bare(url: str, repeat: int, in_flight: int) -> Sample:
    """Makes as many calls and keeps the texts in memory: tries again, but no record, no provenance, no shard."""
    texts = [json.loads(line)["text"] for line in SEEDS.read_text().splitlines()]
    numbers = iter(range(ROWS))
    said: list[str] = []
    watch = Stopwatch()
    connector, patience = aiohttp.TCPConnector(limit=in_flight), aiohttp.ClientTimeout(PATIENCE)
    async with aiohttp.ClientSession(connector=connector, timeout=patience) as session:

        async def ask(body: dict[str, Any]) -> str:
            for failures in range(TRIES):
                pause = FIRST_PAUSE * 2**failures
                with suppress(TimeoutError):
                    async with session.post(f"{url}/chat/completions", json=body) as answer:
                        if answer.status == 200:
                            return str((await answer.json())["choices"][0]["message"]["content"])
                        pause = float(answer.headers.get("Retry-After", pause))
                await asyncio.sleep(pause)
            raise RuntimeError("the teacher gave no answer")

        async def worker() -> None:
            for number in numbers:
                body: dict[str, Any] = {
                    "model": MODEL,
                    "seed": repeat * ROWS + number,
                    "messages": [{"role": "user", "content": f"Rewrite this: {texts[number % len(texts)]}"}],
                }
                said.append(await ask(body))

        await asyncio.gather(*(worker() for _ in range(in_flight)))
    return watch.sample(len(said))


COMPARISONS = (
    Comparison(
        name="generation",
        question="What is left of a teacher's speed when each answer is recorded, with its provenance, in shards?",
        unit="rows",
        ours="cultivar",
        sides=partial(sides, LATENCY),
    ),
    Comparison(
        name="generation_with_faults",
        question="And when the teacher refuses 5 in 100 calls for a second, and fails 2 in 100?",
        unit="rows",
        ours="cultivar",
        sides=partial(sides, FAULTS),
    ),
    Comparison(
        name="generation_with_hangs",
        question=f"And when it besides leaves 1 in 100 unanswered, which is given up after {PATIENCE} s?",
        unit="rows",
        ours="cultivar",
        sides=partial(sides, HANGS),
    ),
)
