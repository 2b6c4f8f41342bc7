"""A run that a process holds: the only ways to change it, and what its work may raise and give."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_service import leases, tables
from cultivar_service.database import Database
from cultivar_service.errors import Unavailable
from cultivar_service.logs import log
from cultivar_service.pace import Pace
from cultivar_service.runs import AWAY, CANCELLING, WAITING, Run

REPORT_SECONDS = 1.0


class Wait(Exception):
    """Raised by work that cannot go on before something outside has happened."""

    def __init__(self, waiting_for: str, seconds: float) -> None:
        super().__init__(waiting_for)
        self.waiting_for = waiting_for
        self.seconds = seconds


class Away(Unavailable):
    """Raised by work that asks somebody who does not answer, or refuses us: the run waits, and asks again later.

    The pauses grow to a minute; a run that got nowhere for a day fails. What it waits for is the message.
    """


@dataclass(frozen=True)
class Settled:
    """The result of a run, and where each of its inputs ended: `inputs` equals the sum of `outputs`.

    short: whether the run ended well before all was done, so that a retry would go on with it.
    """

    result: dict[str, Any]
    inputs: int = 0
    outputs: Mapping[str, int] = field(default_factory=dict)
    short: bool = False


class Hold:
    """A run that this process holds: its row, its token, and the only ways to change it."""

    def __init__(self, database: Database, run: Run) -> None:
        self.database = database
        self.run = run
        self.cursor = dict(run.cursor)
        self.progress = dict(run.progress)
        self.usage = dict(run.usage)
        self.failures = run.failures
        # Set before the work of a run that shall end is cancelled: it may still commit what is done.
        self.cancelling = False
        # Whether somebody had paused or cancelled the run when it was last changed.
        self.interrupted = False
        self._since = time.monotonic()
        self._reported = 0.0
        self._pace = Pace()

    @property
    def key(self) -> sa.ColumnElement[bool]:
        """The condition that picks the row of the run."""
        return tables.run.c.id == self.run.id

    @asynccontextmanager
    async def commit(
        self, *, add: Mapping[str, int] | None = None, spent: Mapping[str, float] | None = None, **cursor: Any
    ) -> AsyncIterator[AsyncConnection]:
        """Opens a transaction that advances the cursor, adds to the counts of the progress, and to the usage.

        Raises StaleLease, and commits nothing, if the run was lost; then cursor, counts and usage stay as they were.
        """
        cursor_before, progress_before, usage_before = self.cursor, self.progress, dict(self.usage)
        self._count_seconds()
        self.spend(**(spent or {}))
        counts = Counter(self.progress.get("counts", {}))
        counts.update(add or {})
        self.cursor = {name: value for name, value in {**self.cursor, **cursor}.items() if name != AWAY}
        self.progress = {**self.progress, "counts": dict(counts)}
        try:
            async with self.database.begin() as connection:
                await self.change(connection, {"cursor": self.cursor, "failures": 0})
                yield connection
        except BaseException:
            self.cursor, self.progress, self.usage = cursor_before, progress_before, usage_before
            raise
        self.failures = 0

    async def change(self, connection: AsyncConnection, values: dict[str, Any]) -> None:
        """Changes the row under the token, with progress and usage as they stand."""
        known = {"progress": self.progress, "usage": self.usage, "update_time": sa.func.clock_timestamp()}
        row = await leases.change_held(connection, tables.run, self.key, self.run.lease_token, {**known, **values})
        self.interrupted = row["state"] in (WAITING, CANCELLING)

    async def report(self, *, now: bool = False, **progress: Any) -> None:
        """Shows progress (stage, done, total, unit, counts, measures), at most once a second unless `now`.

        Rate and seconds left follow from it; work that knows its `seconds_left` better says so. A database that does
        not answer is not told, and ends no work: the next commit finds out whether it is back.
        """
        self.progress.update(progress)
        if now or time.monotonic() - self._reported > REPORT_SECONDS:
            self._reported = time.monotonic()
            self.progress.update({**self._pace.told(self.progress), **progress})
            try:
                async with self.database.begin() as connection:
                    await self.change(connection, {})
            except Unavailable:
                log.warning("progress_untold", run=self.run.id, kind=self.run.kind)

    def spend(self, **amounts: float) -> None:
        """Adds to the usage of the run (calls, cached_calls, failed_calls, prompt_tokens, completion_tokens)."""
        for name, amount in amounts.items():
            self.usage[name] = self.usage.get(name, 0) + amount

    def _count_seconds(self) -> None:
        now = time.monotonic()
        self.spend(seconds=now - self._since)
        self._since = now
