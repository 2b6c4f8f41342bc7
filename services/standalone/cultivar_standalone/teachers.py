"""The teachers application on local Ray, started at the first use of a model and again should it end."""

import asyncio
import socket
from dataclasses import dataclass, field

from cultivar_launchers import Job, Launcher, LauncherError, Program
from cultivar_models import Endpoint
from cultivar_service.errors import Unavailable

MODULE = "cultivar_generation.teachers"
START_SECONDS = 300.0
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Running:
    """The application that was started, and where it listens."""

    job: Job
    url: str


@dataclass
class LocalTeachers:
    """Serves models of this machine; concurrent first uses start one application."""

    launcher: Launcher
    artifacts: str
    key: str
    threads: int
    port: int = 0
    _start: asyncio.Task[Running] | None = None
    _attempt: int = 0
    _deciding: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def endpoint(self, model: str) -> Endpoint:
        """Returns the endpoint of a model; raises Unavailable where the application does not start."""
        async with self._deciding:
            if self._start is None or await over(self._start):
                self._start = asyncio.create_task(self._started())
                self._start.add_done_callback(noted)
            start = self._start
        # One who goes away meanwhile leaves the start to those who wait with him, or come for it later.
        running = await asyncio.shield(start)
        return Endpoint(url=running.url, model=model, api_key=self.key)

    async def _started(self) -> Running:
        self._attempt += 1
        self.port = self.port or free_port()
        program = Program(
            name="teachers",
            module=MODULE,
            spec={"port": self.port, "threads": self.threads},
            env={"CULTIVAR_TEACHERS_KEY": self.key, "CULTIVAR_ARTIFACTS": self.artifacts},
            cpus=1,
            attempt=self._attempt,
        )
        try:
            job = await self.launcher.start(program)
            try:
                async with asyncio.timeout(START_SECONDS):
                    return Running(job, await ready_url(job))
            except BaseException:
                await job.stop(STOP_SECONDS)
                raise
        except (LauncherError, TimeoutError) as error:
            raise Unavailable(f"the teachers application did not start: {str(error) or 'it took too long'}") from error


async def over(start: asyncio.Task[Running]) -> bool:
    """Tells whether a start has failed, or the application that it started has ended."""
    if not start.done():
        return False
    return start.cancelled() or start.exception() is not None or await ended(start.result().job)


def noted(start: asyncio.Task[Running]) -> None:
    """Takes note of a start's failure, which is nobody's where all who waited for it have gone away."""
    if not start.cancelled():
        start.exception()


async def ready_url(job: Job) -> str:
    """Waits for the event that says where the application listens; raises Unavailable where it ends before."""
    async for event in job.events():
        if event.kind == "ready":
            return str(event.fields["url"])
    outcome = await job.wait()
    raise Unavailable(f"the teachers application ended at its start: {outcome.error}")


async def ended(job: Job) -> bool:
    """Tells whether a job has ended."""
    waiting = asyncio.ensure_future(job.wait())
    done, _ = await asyncio.wait({waiting}, timeout=0)
    waiting.cancel()
    return bool(done)


def free_port() -> int:
    """Returns a port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
