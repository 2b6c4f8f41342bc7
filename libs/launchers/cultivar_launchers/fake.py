"""Runs scripts in process in place of programs: the fake launcher, for tests and for trying things without Ray."""

import asyncio
import traceback
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass

from cultivar_launchers.errors import LaunchFailed
from cultivar_launchers.feed import EventFeed
from cultivar_launchers.jobs import JobTable, TrackedJob
from cultivar_launchers.protocol import Event, Outcome, Program

Step = Event | str
Script = Callable[[Program], Iterable[Step] | AsyncIterable[Step]]

_TERMINATED = 143
_KILLED = 137


@dataclass(frozen=True, slots=True)
class Failure:
    """Says how one attempt of a program fails once it has let `after` events through.

    It ends with `exit_code` and reports `error` if there is one; or it `hangs` until it is stopped, and with
    `ignores_stop` until the grace is over; or with `refused` its process cannot be started at all.
    """

    after: int = 0
    exit_code: int = 1
    error: str = ""
    hangs: bool = False
    ignores_stop: bool = False
    refused: bool = False


class FakeLauncher:
    """Runs a script for each module; a script takes the program and gives events, and log lines as strings.

    A script that returns has succeeded; one that raises has crashed with exit code 1. `failures` are by program name
    and attempt.
    """

    def __init__(
        self, scripts: Mapping[str, Script], failures: Mapping[tuple[str, int], Failure] | None = None
    ) -> None:
        self._scripts = dict(scripts)
        self._failures = dict(failures or {})
        self._jobs = JobTable()

    async def start(self, program: Program) -> "FakeJob":
        """Starts a program; raises StaleAttempt, and LaunchFailed where a failure says so."""
        failure = self._failures.get((program.name, program.attempt))
        with self._jobs.admit(program) as earlier:
            if earlier is not None and not earlier.ended:
                await earlier.stop(0)
            if failure is not None and failure.refused:
                raise LaunchFailed(f"no process could be started for {program.name}: refused by the script")
            job = FakeJob(program, self._scripts.get(program.module, _no_module), failure)
            self._jobs.add(job)
        return job

    def find(self, name: str) -> TrackedJob | None:
        """Returns the newest job of this name, running or lately ended."""
        return self._jobs.find(name)

    async def close(self, grace: float = 5.0) -> None:
        """Stops all jobs."""
        await asyncio.gather(*(job.stop(grace) for job in self._jobs.running()))


class FakeJob:
    """Follows a script; it is a `Job`."""

    def __init__(self, program: Program, script: Script, failure: Failure | None) -> None:
        self._program = program
        self._failure = failure
        self._feed = EventFeed()
        self._reason: str | None = None
        self._exit_code = _TERMINATED
        self._work = asyncio.create_task(self._run(script))
        self._outcome = asyncio.create_task(self._follow())

    @property
    def name(self) -> str:
        """The program's name."""
        return self._program.name

    @property
    def attempt(self) -> int:
        """The program's attempt."""
        return self._program.attempt

    @property
    def ended(self) -> bool:
        """Whether the outcome is known."""
        return self._outcome.done()

    def events(self) -> AsyncIterator[Event]:
        """Yields every event from the first on, until the script has ended."""
        return self._feed.read()

    async def wait(self) -> Outcome:
        """Returns how the script ended."""
        return await asyncio.shield(self._outcome)

    async def stop(self, grace: float) -> None:
        """Cancels the script: at once, or after the grace if it ignores being asked."""
        self._reason = self._reason or "the program was stopped"
        if self._failure is not None and self._failure.ignores_stop:
            await asyncio.wait({self._work}, timeout=grace)
            self._exit_code = _KILLED
        self._work.cancel()
        await self.wait()

    async def _follow(self) -> Outcome:
        await asyncio.wait({self._work})
        self._feed.close()
        if self._work.cancelled():
            return self._feed.outcome(self._exit_code, self._reason or "the program was stopped")
        return self._feed.outcome(self._work.result(), self._reason)

    async def _run(self, script: Script) -> int:
        said = 0
        try:
            async for step in _steps(script(self._program)):
                if self._failure is not None and said >= self._failure.after:
                    return await self._fail(self._failure)
                said += isinstance(step, Event)
                self._say(step)
        except Exception:
            for line in traceback.format_exc().splitlines():
                self._feed.add_log(line)
            return 1
        return 0 if self._failure is None else await self._fail(self._failure)

    def _say(self, step: Step) -> None:
        if isinstance(step, Event):
            self._feed.add(step)
        else:
            self._feed.add_log(step)

    async def _fail(self, failure: Failure) -> int:
        if failure.hangs or failure.ignores_stop:
            await asyncio.Event().wait()
        if failure.error:
            self._feed.add(Event("error", {"message": failure.error}))
        return failure.exit_code


async def _steps(steps: Iterable[Step] | AsyncIterable[Step]) -> AsyncIterator[Step]:
    if isinstance(steps, AsyncIterable):
        async for step in steps:
            yield step
        return
    for step in steps:
        yield step
        # Another task gets its turn between two steps, as it would between two processes.
        await asyncio.sleep(0)


def _no_module(program: Program) -> Iterable[Step]:
    raise ModuleNotFoundError(f"the fake launcher has no script for {program.module}")
