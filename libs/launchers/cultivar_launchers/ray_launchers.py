"""Runs programs as drivers of a Ray: the local one, or one that stands already."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from cultivar_launchers.child import ChildJob, start_child
from cultivar_launchers.errors import InvalidProgram
from cultivar_launchers.jobs import JobTable, TrackedJob
from cultivar_launchers.local_ray import LocalRay
from cultivar_launchers.ownership import base_environment
from cultivar_launchers.program import ATTEMPT_VARIABLE, CPUS_VARIABLE, PASSED_VARIABLE
from cultivar_launchers.protocol import Program

SUPERSEDED_GRACE = 10.0


class LocalRayLauncher:
    """Runs programs on local Ray, which it starts when the first one comes.

    A program ends when Ray ends: it could not go on, and would wait for minutes to find out.
    """

    def __init__(self, ray: LocalRay) -> None:
        self._ray = ray
        self._jobs = JobTable()
        self._watchers: set[asyncio.Task[None]] = set()

    async def start(self, program: Program) -> ChildJob:
        """Starts a program; raises StaleAttempt, InvalidProgram, LaunchFailed and RayUnavailable."""
        if program.cpus > self._ray.cpus:
            raise InvalidProgram(
                f"{program.name} asks for {program.cpus} CPUs and local Ray has {self._ray.cpus}; it would wait for "
                "ever: ask for fewer, or give Ray more"
            )
        with self._jobs.admit(program) as earlier:
            await _end_earlier(earlier)
            head = await self._ray.use()
            job = await _start(program, self._ray.data_dir, head.environment, self._jobs)
        watcher = asyncio.create_task(_end_with(head.job, job))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        return job

    def find(self, name: str) -> TrackedJob | None:
        """Returns the newest job of this name, running or lately ended."""
        return self._jobs.find(name)

    async def close(self, grace: float = 5.0) -> None:
        """Stops all jobs; Ray itself runs on, for it may have other users."""
        await asyncio.gather(*(job.stop(grace) for job in self._jobs.running()))


class StandingRayLauncher:
    """Runs programs against a Ray cluster that is there already.

    `address` is what `ray.init` takes: `host:port` on a machine of the cluster, `ray://host:port` from elsewhere.
    A cluster with a token needs `token_file`. Other settings of Ray (TLS) are taken from RAY_… variables.
    """

    def __init__(self, address: str, data_dir: Path, token_file: Path | None = None) -> None:
        self._data_dir = data_dir.resolve()
        self._environment = {"RAY_ADDRESS": address, "RAY_USAGE_STATS_ENABLED": "0"}
        if address.startswith("127.0.0.1:"):
            self._environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        if token_file is not None:
            self._environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token_file)}
        self._jobs = JobTable()

    async def start(self, program: Program) -> ChildJob:
        """Starts a program; raises StaleAttempt, InvalidProgram and LaunchFailed."""
        with self._jobs.admit(program) as earlier:
            await _end_earlier(earlier)
            return await _start(program, self._data_dir, self._environment, self._jobs, ("RAY_",))

    def find(self, name: str) -> TrackedJob | None:
        """Returns the newest job of this name, running or lately ended."""
        return self._jobs.find(name)

    async def close(self, grace: float = 5.0) -> None:
        """Stops all jobs."""
        await asyncio.gather(*(job.stop(grace) for job in self._jobs.running()))


async def _start(
    program: Program,
    data_dir: Path,
    ray_environment: Mapping[str, str],
    jobs: JobTable,
    prefixes: tuple[str, ...] = (),
) -> ChildJob:
    inherited = base_environment(data_dir, prefixes)
    own = {
        ATTEMPT_VARIABLE: str(program.attempt),
        CPUS_VARIABLE: str(program.cpus),
        PASSED_VARIABLE: ",".join(program.env),
        "OMP_NUM_THREADS": str(program.cpus),
    }
    job = await start_child(program, data_dir, inherited | own | dict(program.env) | dict(ray_environment))
    try:
        jobs.add(job)
    except BaseException:
        await job.end("a newer attempt was started")
        raise
    return job


async def _end_earlier(earlier: TrackedJob | None) -> None:
    if earlier is not None and not earlier.ended:
        await earlier.stop(SUPERSEDED_GRACE)


async def _end_with(head: ChildJob, job: ChildJob) -> None:
    waits = {asyncio.create_task(head.wait()), asyncio.create_task(job.wait())}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if not job.ended:
        job.kill("Ray ended while the program ran; start its next attempt")
