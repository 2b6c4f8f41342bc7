"""The generation service against the tools that do the same: each in its own process, against one teacher.

The tools' programs and the teacher are those of the kit in ../shared/bench, the tools are in virtual environments that
its setup.sh makes; BENCH_PEERS names their folder. A tool that is not there is left out, and said to be.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from benchmarks.comparison import Comparison, Sample, Side
from benchmarks.generation import IN_FLIGHT, ROWS, ended, our_sides

KIT = Path(__file__).parents[2] / "shared" / "bench" / "generation"
DATA = KIT.parents[1] / "data"
PEERS = {
    "openai": ("base", "run_openai.py"),
    "distilabel": ("distilabel", "run_distilabel.py"),
    "data-designer": ("designer", "run_designer.py"),
    "bespokelabs-curator": ("curator", "run_curator.py"),
    "sdg-hub": ("sdghub", "run_sdghub.py"),
}
"""By the name of the package: its virtual environment, and the program that gives it the prompts."""
PORT = 18_999
VERSION = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"


@asynccontextmanager
async def sides(in_flight: int = IN_FLIGHT) -> AsyncIterator[Mapping[str, Side]]:
    """Starts the kit's teacher and a `cultivar up`; every side calls the same teacher."""
    venvs = Path(os.environ["BENCH_PEERS"])
    teacher = await asyncio.create_subprocess_exec(
        *(venvs / "base" / "bin" / "python", KIT / "fake_teacher.py", "--port", str(PORT)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await until_it_listens()
        async with our_sides(f"http://127.0.0.1:{PORT}/v1", "fake", in_flight) as ours:
            peers = {}
            for package, (venv, program) in PEERS.items():
                python = venvs / venv / "bin" / "python"
                version = await said(python, "-c", VERSION, package) if python.exists() else ""
                if version:
                    peers[f"{package} {version}"] = partial(run_peer, python, KIT / program, in_flight)
                else:
                    sys.stderr.write(f"peers: {package} is not in {venvs}\n")
            yield {**ours, **peers}
    finally:
        await ended(teacher)


async def until_it_listens() -> None:
    """Waits until the teacher answers."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", PORT)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                return writer.close()


async def run_peer(python: Path, program: Path, in_flight: int, repeat: int) -> Sample:
    """Lets a tool answer all prompts once; raises RuntimeError where it lost a row, for then it is no comparison."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    printed = await said(python, program, BENCH_CONC=str(in_flight))
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    told = [json.loads(line.removeprefix("BENCH ")) for line in printed.splitlines() if line.startswith("BENCH ")]
    if not told or told[0]["output_count"] < ROWS:
        raise RuntimeError(
            f"{program.name} gave {told[0]['output_count'] if told else 0} of {ROWS} rows after {seconds} s"
        )
    # Its own clock begins after its imports, which a user of a long run does not wait for.
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sample(told[0]["output_count"], told[0]["seconds"], cpu)


async def said(python: Path, *words: Path | str, **asked: str) -> str:
    """Runs a program to its end and returns what it printed."""
    settings = {
        "BENCH_N": str(ROWS),
        "BENCH_BASE_URL": f"http://127.0.0.1:{PORT}/v1",
        "BENCH_SHARED": str(DATA),
    }
    child = await asyncio.create_subprocess_exec(
        *(python, *words),
        env={**os.environ, **settings, **asked},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    printed, _ = await child.communicate()
    return printed.decode().strip()


COMPARISONS = (
    Comparison(
        name="peers",
        question="How fast do other tools have 5,000 answers of the same teacher, which takes 50 ms?",
        unit="rows",
        ours="cultivar",
        sides=sides,
    ),
    Comparison(
        name="peers_with_256_in_flight",
        question="And with 256 calls in flight, where the teacher would answer 5,120 a second?",
        unit="rows",
        ours="cultivar",
        sides=partial(sides, 256),
    ),
)
