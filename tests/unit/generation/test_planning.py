"""Calls are planned beside the event loop, where the leases of all runs are renewed."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

from cultivar_generation.budget import Budget, Purse
from cultivar_generation.coverage import added
from cultivar_generation.plan import Calls, RunSpec, Use
from cultivar_generation.prompts import shipped
from cultivar_generation.runner import Attempt
from cultivar_generation.teaching import Teaching
from cultivar_records import TaskKind, TaskSpec

from tests.seeds import TEXTS, seeds

CALLS = 20_000
TASK = TaskSpec(kind=TaskKind.CLASSIFICATION, instruction="Sort it.", labels=tuple(TEXTS))


def asked() -> RunSpec:
    """Many rewritings that are refilled."""
    use = {"strategy": "rewrite", "params": {"axes": {"tone": ["calm", "angry"]}}, "prompt": "paraphrase@2"}
    refilled = Use.model_validate({**use, "prompt_digest": "", "count": CALLS, "refill": True})
    return RunSpec(seeds="", task=TASK, uses=(refilled,), teacher="fake")


async def test_the_loop_goes_on_while_20_000_calls_are_refilled() -> None:
    spec = asked()
    calls = Calls(spec, seeds(), [shipped()["paraphrase"][2]])
    hold: Any = SimpleNamespace(cursor={"next": CALLS})
    teaching = Teaching("run", spec, {}, calls)
    attempt = Attempt(hold, cast(Any, None), teaching, Purse(Budget(), 0, 0.0), ended=0)
    attempt.coverage = added({}, ((calls.aims((0, number)), 1, 0) for number in range(CALLS)))
    longest, last = 0.0, time.monotonic()

    async def tick() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0.005)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.02)
    began = time.monotonic()
    assert await attempt.refill()
    taken = time.monotonic() - began
    ticking.cancel()
    # By the time that it takes: on a busy machine everything waits longer.
    assert len(calls) == 2 * CALLS and longest < max(0.2, taken / 4) < taken, (longest, taken)
