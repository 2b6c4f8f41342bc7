"""The memory of a server at a run of 1,000 prompts and at one of very many: `python -m benchmarks.memory [ROWS]`.

Counts the resident memory of the process that serves generation and datasets, PostgreSQL and the teacher not counted.
"""

import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime
from functools import partial

import psutil
from cultivar.cli.augment import generate
from cultivar.generation.v1 import generation_pb2 as pb

from benchmarks import table
from benchmarks.__main__ import commit
from benchmarks.comparison import RESULTS, machine, read_results, three_digits
from benchmarks.generation import QUIET, TASK, ended, fake_teacher, our_server

FEW = 1_000
SAMPLE_SECONDS = 0.5


async def main() -> None:
    """Measures both runs in one server, the short one first, and keeps what came of them."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    taken = {"commit": commit(), "date": datetime.now(UTC).date().isoformat(), "machine": machine()}
    teacher, url = await fake_teacher({})
    try:
        async with our_server(url) as (process, client, seeds):
            runs = []
            for count in (FEW, rows):
                use = pb.StrategyUse(strategy="rewrite", count=count)
                began = time.perf_counter()
                work = asyncio.create_task(
                    asyncio.to_thread(partial(generate, client, QUIET, seeds, TASK, use, "fake"))
                )
                peak = await peak_of(process.pid, work)
                made = (await work).run.progress.counts
                assert made["answered"] == count, dict(made)
                seconds = three_digits(time.perf_counter() - began)
                runs.append({"rows": count, "peak_rss_mb": three_digits(peak / 2**20), "seconds": seconds})
                sys.stderr.write(f"memory: {runs[-1]}\n")
    finally:
        await ended(teacher)
    results = {**read_results(), "memory": {**taken, "runs": runs}}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    table.write(results)


async def peak_of(pid: int, work: "asyncio.Task[pb.GenerationRun]") -> int:
    """Returns the most bytes that a process held until some work had ended."""
    process, peak = psutil.Process(pid), 0
    while not work.done():
        peak = max(peak, process.memory_info().rss)
        await asyncio.wait({work}, timeout=SAMPLE_SECONDS)
    return peak


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    asyncio.run(main())
