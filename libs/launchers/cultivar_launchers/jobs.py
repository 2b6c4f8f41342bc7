"""Remembers a launcher's jobs by name and fences off stale attempts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from cultivar_launchers.errors import StaleAttempt
from cultivar_launchers.protocol import Job, Program

ENDED_KEPT = 64


class TrackedJob(Job, Protocol):
    """Is a job that also tells, without waiting, whether it has ended."""

    @property
    def ended(self) -> bool:
        """Whether the outcome is known."""


class JobTable:
    """Holds running jobs and the last 64 that ended; of one name only the newest attempt."""

    def __init__(self, ended_kept: int = ENDED_KEPT) -> None:
        self._jobs: dict[str, TrackedJob] = {}
        self._starting: dict[str, int] = {}
        self._ended_kept = ended_kept

    def find(self, name: str) -> TrackedJob | None:
        """Returns the newest job of this name."""
        return self._jobs.get(name)

    @contextmanager
    def admit(self, program: Program) -> Iterator[TrackedJob | None]:
        """Reserves the attempt while it is started, and gives the earlier job of the name; raises StaleAttempt."""
        earlier = self._jobs.get(program.name)
        known = self._newest(program.name)
        if program.attempt <= known:
            raise StaleAttempt(
                f"{program.name}: attempt {program.attempt} comes after attempt {known}; take the run again to go on"
            )
        self._starting[program.name] = program.attempt
        try:
            yield earlier
        finally:
            if self._starting.get(program.name) == program.attempt:
                del self._starting[program.name]

    def add(self, job: TrackedJob) -> None:
        """Takes a started job as the newest of its name; raises StaleAttempt if a newer one was started meanwhile."""
        if self._newest(job.name) > job.attempt:
            raise StaleAttempt(f"{job.name}: a newer attempt than {job.attempt} was started meanwhile")
        self._jobs.pop(job.name, None)
        self._jobs[job.name] = job
        ended = [name for name, kept in self._jobs.items() if kept.ended]
        for name in ended[: max(0, len(ended) - self._ended_kept)]:
            del self._jobs[name]

    def running(self) -> list[TrackedJob]:
        """Returns the jobs that have not ended."""
        return [job for job in self._jobs.values() if not job.ended]

    def _newest(self, name: str) -> int:
        started = self._jobs.get(name)
        return max(started.attempt if started else 0, self._starting.get(name, 0))
