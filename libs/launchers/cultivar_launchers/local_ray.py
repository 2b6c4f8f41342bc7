"""Starts Ray on this machine at its first use, and ends it."""

import asyncio
import os
import secrets
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from cultivar_launchers.child import ChildJob, start_child
from cultivar_launchers.errors import RayUnavailable
from cultivar_launchers.ownership import base_environment
from cultivar_launchers.protocol import READY, Program
from cultivar_launchers.session_folder import forget_session_folder, ray_folder, session_folder

START_SECONDS = 120.0
STOP_SECONDS = 10.0
OBJECT_STORE_BYTES = 256 << 20

_SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's processes change their titles; without this they write over the environment, and our mark in it.
    "SPT_NOENV": "1",
    # Ray replaces 127.0.0.1 by the machine's outer address and listens on all interfaces, unless it is told that it
    # shall never be a cluster of machines. The name is Ray's own; on Linux it works as well.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Ray's own is 15: beside anything else that computes, teachers and training then hardly move.
    "RAY_worker_niceness": "5",
}


class Phase(Enum):
    """Names where local Ray stands."""

    ABSENT = "absent"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RayState:
    """Says where local Ray stands, in a word and in words, and how many seconds its start took."""

    phase: Phase
    words: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Head:
    """Holds a running head: its process, its address, and the environment with which a program reaches it."""

    job: ChildJob
    address: str
    environment: dict[str, str]


class LocalRay:
    """Owns one Ray on this machine, bound to 127.0.0.1 and closed to whoever lacks its token.

    Nothing is started before `use`. Ray runs in processes of its own: this one never imports it. Use it from one
    event loop. `cpus` are the logical CPUs that Ray may give away, `object_store_bytes` (at least 80 MB) bounds the
    memory for shared objects.
    """

    def __init__(self, data_dir: Path, cpus: int, object_store_bytes: int = OBJECT_STORE_BYTES) -> None:
        self.data_dir = data_dir.resolve()
        self.cpus = cpus
        self._object_store_bytes = object_store_bytes
        self._head: Head | None = None
        self._state = RayState(Phase.ABSENT, "Ray starts at its first use")
        self._starting = asyncio.Lock()
        self._last: ChildJob | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def state(self) -> RayState:
        """Where Ray stands now."""
        return self._state

    @property
    def address(self) -> str:
        """The address of the running Ray, `127.0.0.1:port`; raises RayUnavailable."""
        return self._running().address

    def env(self) -> dict[str, str]:
        """Returns the environment with which a program reaches the running Ray; raises RayUnavailable."""
        return dict(self._running().environment)

    async def use(self) -> Head:
        """Returns the running head, started if there is none; many first uses at once start one.

        Raises RayUnavailable when Ray does not start; the next use tries again.
        """
        async with self._starting:
            if self._head is None or self._head.job.ended:
                await self._start()
            return self._running()

    async def stop(self, grace: float = STOP_SECONDS) -> None:
        """Ends Ray with all its processes; the next use starts it again."""
        async with self._starting:
            head, self._head = self._head, None
            if head is not None:
                await head.job.stop(grace)
                forget_session_folder(self.data_dir)
            self._state = RayState(Phase.ABSENT, "Ray was stopped; it starts at its next use")

    def _running(self) -> Head:
        if self._head is None or self._head.job.ended:
            raise RayUnavailable(f"local Ray is {self._state.phase.value}: {self._state.words}")
        return self._head

    async def _start(self) -> None:
        if self._last is not None:
            await self._last.wait()
        began = time.monotonic()
        self._state = RayState(Phase.STARTING, "Ray is starting; this takes some seconds")
        settings = _SETTINGS | {"RAY_AUTH_TOKEN_PATH": str(_token_file(self.data_dir))}
        job = await start_child(self._program(), self.data_dir, base_environment(self.data_dir) | settings)
        self._last = job
        try:
            async with asyncio.timeout(START_SECONDS):
                address = await _ready_address(job)
        except (TimeoutError, RayUnavailable) as error:
            words = f"Ray did not start: {error or f'it was not ready within {START_SECONDS:.0f} s'}"
            self._state = RayState(Phase.FAILED, words)
            await job.end(words)
            raise RayUnavailable(words) from error
        except BaseException:
            self._state = RayState(Phase.ABSENT, "the start of Ray was given up; its next use starts it again")
            job.kill("the start of Ray was given up")
            raise
        self._head = Head(job, address, settings | {"RAY_ADDRESS": address})
        seconds = time.monotonic() - began
        self._state = RayState(Phase.READY, f"Ray is ready at {address}", seconds)
        self._watcher = asyncio.create_task(self._watch(job))

    def _program(self) -> Program:
        spec = {
            "cpus": self.cpus,
            "object_store_bytes": self._object_store_bytes,
            "folder": str(session_folder(self.data_dir)),
        }
        return Program("local Ray", "cultivar_launchers.head", spec)

    async def _watch(self, job: ChildJob) -> None:
        outcome = await job.wait()
        if self._head is not None and self._head.job is job:
            self._state = RayState(Phase.FAILED, f"Ray ended by itself ({outcome.error}); its next use starts it again")


async def _ready_address(job: ChildJob) -> str:
    async for event in job.events():
        if event.kind == READY:
            return str(event.fields["address"])
    outcome = await job.wait()
    raise RayUnavailable(f"{outcome.error}: {' / '.join(outcome.log_tail[-3:])}")


def _token_file(data_dir: Path) -> Path:
    """Returns the file with Ray's token, made at the first start, readable by its owner only."""
    path = ray_folder(data_dir) / "token"
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    return path
