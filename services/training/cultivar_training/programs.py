"""Programs that run, and those that wait for the next run: to start one costs as much as a short training."""

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cultivar_launchers import Event, Job, Launcher, Outcome, Program

STOP_SECONDS = 2.0
FORGOTTEN_SECONDS = 24 * 3600.0


@dataclass
class Running:
    """A program at work on a run: its events up to the result, and how it ended if it gave none."""

    job: Job
    events: AsyncIterator[Event]
    shape: tuple[int, int]
    inbox: Path
    runs: int = 1

    async def wait(self) -> Outcome:
        """Returns how the program ended."""
        return await self.job.wait()


class Programs:
    """Starts programs, and keeps one that ended its run well for `idle_seconds`; 0 keeps none."""

    def __init__(self, launcher: Launcher, folder: Path, idle_seconds: float) -> None:
        self._launcher = launcher
        self._folder = folder
        self._idle_seconds = idle_seconds
        self._idle: dict[asyncio.Task[None], Running] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def begin(self, program: Program) -> Running:
        """Hands a run to a waiting program of the same shape, or starts one; raises what the launcher raises."""
        shape = (program.cpus, int(program.spec["threads"]))
        if (waiting := self._take(shape)) is not None:
            await asyncio.to_thread(_put_run, waiting, program.spec)
            return waiting
        await self._stop_waiting()
        inbox = await asyncio.to_thread(self._inbox)
        given = {**program.spec, "inbox": str(inbox)} if self._idle_seconds else dict(program.spec)
        try:
            job = await self._launcher.start(replace(program, spec=given))
        except BaseException:
            shutil.rmtree(inbox, ignore_errors=True)
            raise
        return Running(job, job.events(), shape, inbox)

    def keep(self, running: Running) -> None:
        """Lets a program that has given its result wait for the next run, or ends it where none is kept."""
        if not self._idle_seconds:
            ending = asyncio.create_task(self.end(running))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            return
        waiting = asyncio.create_task(self._outlast(running))
        self._idle[waiting] = running
        waiting.add_done_callback(lambda task: self._idle.pop(task, None))

    async def end(self, running: Running) -> None:
        """Stops a program with all that it started."""
        await running.job.stop(STOP_SECONDS)
        await asyncio.to_thread(shutil.rmtree, running.inbox, ignore_errors=True)

    async def close(self) -> None:
        """Stops the programs that wait."""
        await self._stop_waiting()
        await asyncio.gather(*self._ending)

    def _take(self, shape: tuple[int, int]) -> Running | None:
        for task, running in self._idle.items():
            if running.shape == shape and not task.done():
                del self._idle[task]
                task.cancel()
                running.runs += 1
                return running
        return None

    async def _stop_waiting(self) -> None:
        """Stops what waits, for its workers hold cores that another shape of run may need."""
        idle, self._idle = self._idle, {}
        for task in idle:
            task.cancel()
        await asyncio.gather(*(self.end(running) for running in idle.values()))

    async def _outlast(self, running: Running) -> None:
        """Ends a program when it has waited for long enough, or notices that it has ended by itself."""
        ended = asyncio.ensure_future(running.job.wait())
        try:
            await asyncio.wait({ended}, timeout=self._idle_seconds)
        finally:
            ended.cancel()
        # From here on nobody may take it any more.
        self._idle = {task: kept for task, kept in self._idle.items() if kept is not running}
        await self.end(running)

    def _inbox(self) -> Path:
        """Makes a folder for runs to come, and removes those that a killed service left."""
        for left in self._folder.glob("*"):
            if left.stat().st_mtime < time.time() - FORGOTTEN_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self._folder))


def _put_run(running: Running, spec: Mapping[str, Any]) -> None:
    path = running.inbox / f"run-{running.runs - 1:05d}.json"
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({**spec, "inbox": str(running.inbox)}))
    os.replace(draft, path)
