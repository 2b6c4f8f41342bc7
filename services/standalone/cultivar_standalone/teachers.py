"""The teachers application on local Ray, started at the first use of a model and again should it end."""

import asyncio
import socket
from dataclasses import dataclass, field

from cultivar_launchers import Job, LauncherError, LocalRayLauncher, Program
from cultivar_models import Endpoint
from cultivar_service.errors import Unavailable

MODULE = "cultivar_generation.teachers"
START_SECONDS = 300.0


@dataclass
class LocalTeachers:
    """Serves models of this machine; concurrent first uses start one application."""

    launcher: LocalRayLauncher
    artifacts: str
    key: str
    threads: int
    port: int = 0
    _job: Job | None = None
    _url: str = ""
    _attempt: int = 0
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def endpoint(self, model: str) -> Endpoint:
        """Returns the endpoint of a model; raises Unavailable where the application does not start."""
        async with self._starting:
            if self._job is None or await ended(self._job):
                await self._start()
        return Endpoint(url=self._url, model=model, api_key=self.key)

    async def _start(self) -> None:
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
            self._job = await self.launcher.start(program)
            async with asyncio.timeout(START_SECONDS):
                self._url = await ready_url(self._job)
        except (LauncherError, TimeoutError) as error:
            raise Unavailable(f"the teachers application did not start: {error or 'it took too long'}") from error


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
