"""What a launcher promises: programs, their events, their jobs and how they end."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cultivar_launchers.errors import InvalidProgram

READY = "ready"
PROGRESS = "progress"
METRICS = "metrics"
RESULT = "result"
ERROR = "error"

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, slots=True)
class Event:
    """Holds one JSON line that a program printed: its kind and everything else in the line."""

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Program:
    """Says what to run: `python -m module SPEC_FILE`, under a name, for the nth time.

    `name` is the caller's own (a run's resource name); `spec` is any JSON object; `env` is added to the small
    environment that every program gets, and reaches Ray's workers when the program connects with
    `cultivar_launchers.program.ray_options`; `cpus` is how many logical CPUs the program will ask of Ray.
    `attempt` counts from 1 and is the fencing token: a launcher refuses one that is not above the last it saw.
    Raises InvalidProgram.
    """

    name: str
    module: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    cpus: int = 1
    attempt: int = 1

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > 500:
            raise InvalidProgram("a program's name has 1 to 500 characters; give the name of its run")
        if not _MODULE.fullmatch(self.module):
            raise InvalidProgram(f"{self.module!r} is not the dotted name of a Python module")
        if self.cpus < 1 or self.attempt < 1:
            raise InvalidProgram("cpus and attempt count from 1")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Tells how a program ended.

    `exit_code` is 0 for success and 128 + n after signal n, as shells have it. `result` is the last result event's
    fields, `error` is None only after success, `log_tail` is the last lines that were no events. The tail may hold
    texts of the data: show it to whoever may read the run, and never log it.
    """

    exit_code: int
    result: Mapping[str, Any] | None
    error: str | None
    log_tail: tuple[str, ...] = ()


class Job(Protocol):
    """Follows one started program."""

    @property
    def name(self) -> str:
        """The program's name."""

    @property
    def attempt(self) -> int:
        """The program's attempt."""

    def events(self) -> AsyncIterator[Event]:
        """Yields every event from the first on, then those to come, and ends when the program has ended.

        Each call is a reader of its own. A reader that falls more than the kept history behind misses the oldest.
        """

    async def stop(self, grace: float) -> None:
        """Asks the program to end (SIGTERM), and after `grace` seconds ends it and all that it started."""

    async def wait(self) -> Outcome:
        """Returns how the program ended, as often as it is asked."""


class Launcher(Protocol):
    """Starts programs and finds them again.

    A job never outlives the process that started it: whoever restarts runs starts the next attempt from the last
    checkpoint. So `find` looks only among this launcher's own jobs.
    """

    async def start(self, program: Program) -> Job:
        """Starts a program; an earlier attempt of the same name that still runs is ended first.

        Raises StaleAttempt, InvalidProgram and LaunchFailed.
        """

    def find(self, name: str) -> Job | None:
        """Returns the newest job of this name, running or lately ended."""

    async def close(self, grace: float = 5.0) -> None:
        """Stops all jobs; no process of this launcher is left."""
