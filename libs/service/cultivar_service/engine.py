"""Durable runs: any replica takes a run whose lease is free, works from its cursor, and commits under a fencing token.

A kind of work is two functions. `advance` goes from the cursor to the end, committing as it goes; whatever it commits
it never does again. `settle` turns what was committed into the result, inside the transaction that ends the run; it is
called at the end, and also when the run is cancelled.
"""

import asyncio
import os
import socket
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_service import leases, leftovers, tables
from cultivar_service.database import Database
from cultivar_service.errors import CultivarError, StaleLease, Unavailable
from cultivar_service.holds import Away, Hold, Settled, Wait
from cultivar_service.logs import log
from cultivar_service.metrics import RUNS, RUNS_HELD
from cultivar_service.runs import AWAY, CANCELLED, CANCELLING, FAILED, RUNNING, SUCCEEDED, WAITING, Run, wake
from cultivar_service.translate import translate

IDLE_SECONDS = 0.5
HEARTBEAT_SECONDS = 1.5
MOST_FAILURES = 5
LONGEST_BACKOFF = 60.0
LONGEST_AWAY = timedelta(days=1)


class Work(Protocol):
    """What a kind of run does."""

    async def advance(self, hold: Hold) -> None:
        """Works from the cursor to the end; may raise Wait or Away, alone or in a group.

        Cancelled while `hold.cancelling`, it may still commit.
        """
        ...

    async def settle(self, hold: Hold, connection: AsyncConnection) -> Settled:
        """Makes the result of what was committed, inside the transaction that ends the run."""
        ...


class Engine:
    """Takes the runs of a service and works on them until drained.

    retried: the kinds of which a run that ended early may go on later. Such a run is settled when it fails too, and
    what it left is kept for that time.
    """

    def __init__(
        self,
        database: Database,
        works: Mapping[str, Work],
        *,
        slots: int,
        lease_seconds: float,
        retried: Collection[str] = (),
    ) -> None:
        self.database = database
        self.works = dict(works)
        self.slots = slots
        self.lease_seconds = lease_seconds
        self._retried = retried
        self.owner = f"{socket.gethostname()}:{os.getpid()}"
        self._held: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._nudge = asyncio.Event()

    def start(self) -> None:
        """Begins to take runs."""
        self._loop = asyncio.create_task(self._take_runs())

    def nudge(self) -> None:
        """Lets the engine look for a run at once, as after one was made."""
        self._nudge.set()

    async def drain(self) -> None:
        """Takes no more runs, stops those it holds and gives them back, to go on elsewhere or later."""
        tasks = [task for task in (self._loop, *self._held) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take_runs(self) -> None:
        while True:
            try:
                run = await self._take() if len(self._held) < self.slots else None
            except Exception as error:
                # Whatever it is: a process that takes no runs any more, and answers calls, lets them wait for ever.
                run = None
                if not isinstance(error, Unavailable):
                    log.error("runs_untaken", exc_info=error)
            if run is None:
                self._nudge.clear()
                # Not wait_for: cancelled in the moment that the nudge comes, it goes on (CPython issue 86296).
                with suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_SECONDS):
                        await self._nudge.wait()
                continue
            task = asyncio.create_task(self._hold(run))
            self._held.add(task)
            task.add_done_callback(self._held.discard)
            task.add_done_callback(lambda _: self._nudge.set())

    async def _take(self) -> Run | None:
        row = tables.run.c
        awake = sa.or_(row.wake_time <= sa.func.now(), sa.and_(row.wake_time.is_(None), row.state != WAITING))
        values = {
            "state": sa.case((row.state == CANCELLING, CANCELLING), else_=RUNNING),
            "start_time": sa.func.coalesce(row.start_time, sa.func.now()),
            "update_time": sa.func.clock_timestamp(),
            "attempt": row.attempt + 1,
            # A lease that lapsed, rather than was given back, is a crash of whoever held it.
            "failures": row.failures + sa.case((row.lease_until.is_(None), 0), else_=1),
            "waiting_for": "",
            "wake_time": None,
        }
        async with self.database.begin() as connection:
            taken = await leases.take(
                connection,
                tables.run,
                where=sa.and_(row.end_time.is_(None), row.kind.in_(self.works), awake),
                order=row.create_time,
                owner=self.owner,
                seconds=self.lease_seconds,
                values=values,
            )
        return Run.of(taken) if taken is not None else None

    async def _hold(self, run: Run) -> None:
        hold = Hold(self.database, run)
        with RUNS_HELD.labels(run.kind).track_inprogress():
            work = asyncio.create_task(self._work(hold))
            heart = asyncio.create_task(self._beat(hold))
            try:
                await asyncio.wait({work, heart}, return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    hold.cancelling = heart.result() == CANCELLING
                    await cancelled(work)
                    if hold.cancelling:
                        await self._end(hold, CANCELLED)
            except asyncio.CancelledError:
                await cancelled(work)
                await self._give_back(hold)
                raise
            except (StaleLease, Unavailable):
                log.warning("run_lost", run=run.id, kind=run.kind)
            finally:
                wake(run.id)
                await cancelled(heart)

    async def _beat(self, hold: Hold) -> str:
        """Renews the lease until it is lost (""), paused (WAITING) or the run is to be cancelled (CANCELLING)."""
        token, held_until = hold.run.lease_token, time.monotonic() + self.lease_seconds
        while time.monotonic() < held_until:
            await asyncio.sleep(min(HEARTBEAT_SECONDS, self.lease_seconds / 4))
            try:
                async with self.database.begin() as connection:
                    row = await leases.renew(connection, tables.run, hold.key, token, self.lease_seconds)
            except StaleLease:
                return ""
            except Unavailable:
                continue
            held_until = time.monotonic() + self.lease_seconds
            if row["state"] == CANCELLING and hold.run.state != CANCELLING:
                return CANCELLING
            if row["state"] == WAITING:
                async with self.database.begin() as connection:
                    await hold.change(connection, leases.RELEASED)
                return WAITING
        return ""

    async def _work(self, hold: Hold) -> None:
        try:
            if hold.run.state == CANCELLING:
                return await self._end(hold, CANCELLED)
            if hold.run.failures >= MOST_FAILURES:
                raise CultivarError(f"the process that worked on it ended {MOST_FAILURES} times at the same place")
            await self.works[hold.run.kind].advance(hold)
            await self._end(hold, SUCCEEDED)
        except Exception as error:
            await self._leave_off(hold, weightiest(error))

    async def _leave_off(self, hold: Hold, error: Exception) -> None:
        if isinstance(error, StaleLease):
            log.warning("run_lost", run=hold.run.id, kind=hold.run.kind)
        elif isinstance(error, Away):
            await self._ask_later(hold, error)
        elif isinstance(error, Wait):
            await self._let_wait(hold, error.waiting_for, error.seconds, 0)
        else:
            await self._fail_or_retry(hold, error)

    async def _ask_later(self, hold: Hold, away: Away) -> None:
        """Lets a run wait for somebody who is away; when it began to, and how often it asked, is in its cursor."""
        async with self.database.begin() as connection:
            now = (await connection.execute(sa.select(sa.func.now()))).scalar_one().timestamp()
        since, times = hold.cursor.get(AWAY, (now, 0))
        told = f"{datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M:%S} UTC"
        log.warning("run_waits", run=hold.run.id, kind=hold.run.kind, since=told, times=times + 1)
        if now - since >= LONGEST_AWAY.total_seconds():
            return await self._fail(hold, Unavailable(f"{away} (the run has waited since {told})"))
        hold.cursor = {**hold.cursor, AWAY: [since, times + 1]}
        waiting_for = f"{away} (the run waits since {told}, and asks again)"
        # The exponent is bounded, for a float is: a day of pauses is over a thousand of them.
        pause = min(LONGEST_BACKOFF, 2.0 ** min(times, 10))
        await self._let_wait(hold, waiting_for, pause, hold.failures, cursor=hold.cursor)

    async def _fail_or_retry(self, hold: Hold, error: Exception) -> None:
        failures = hold.failures + 1
        known = translate(error)
        lasting = type(known) is not CultivarError and not isinstance(known, Unavailable)
        log.error(
            "run_failed", run=hold.run.id, kind=hold.run.kind, failures=failures, exc_info=None if lasting else error
        )
        if lasting or failures >= MOST_FAILURES:
            return await self._fail(hold, known)
        await self._let_wait(hold, known.message, min(LONGEST_BACKOFF, 2.0**failures), failures)

    async def _let_wait(self, hold: Hold, waiting_for: str, seconds: float, failures: int, **more: Any) -> None:
        row = tables.run.c
        # A run that was paused or cancelled meanwhile stays so.
        ours = row.state == RUNNING
        values = {
            "state": sa.case((ours, WAITING), else_=row.state),
            "waiting_for": sa.case((ours, waiting_for), else_=row.waiting_for),
            "wake_time": sa.case((ours, sa.func.now() + timedelta(seconds=seconds)), else_=row.wake_time),
            "failures": failures,
            **more,
            **leases.RELEASED,
        }
        async with self.database.begin() as connection:
            await hold.change(connection, values)

    async def _end(self, hold: Hold, state: str, error: dict[str, Any] | None = None) -> None:
        async with hold.commit() as connection:
            settled = await self.works[hold.run.kind].settle(hold, connection)
            outputs = dict(settled.outputs)
            if state == SUCCEEDED and settled.inputs != sum(outputs.values()):
                raise CultivarError(f"{settled.inputs} inputs became {outputs}: a row was lost or made twice")
            result = {**settled.result, "inputs": settled.inputs, "outputs": outputs, "short": settled.short}
            whole = state == SUCCEEDED and not settled.short
            await self._close(hold, connection, {"state": state, "result": result, "error": error}, whole)
        log.info("run_ended", run=hold.run.id, kind=hold.run.kind, state=state)

    async def _fail(self, hold: Hold, error: CultivarError) -> None:
        detail = {"code": error.status.value[0], "message": error.message}
        if hold.run.kind in self._retried:
            try:
                return await self._end(hold, FAILED, detail)
            except StaleLease:
                raise
            except Exception as unsettled:
                log.warning("run_unsettled", run=hold.run.id, kind=hold.run.kind, error=type(unsettled).__name__)
        async with self.database.begin() as connection:
            await self._close(hold, connection, {"state": FAILED, "error": detail}, whole=False)

    async def _close(self, hold: Hold, connection: AsyncConnection, values: dict[str, Any], whole: bool) -> None:
        if whole or hold.run.kind not in self._retried:
            await leftovers.drop(connection, hold.run.id)
        await leftovers.drop_old(connection, hold.run.kind)
        await hold.change(connection, {**values, "end_time": sa.func.clock_timestamp(), **leases.RELEASED})
        RUNS.labels(hold.run.kind, values["state"]).inc()

    async def _give_back(self, hold: Hold) -> None:
        with suppress(StaleLease, Unavailable):
            async with self.database.begin() as connection:
                await hold.change(connection, leases.RELEASED)


def weightiest(error: Exception) -> Exception:
    """Returns, of the errors of a group, the one that decides what becomes of the run."""
    if not isinstance(error, ExceptionGroup):
        return error
    errors = [weightiest(each) for each in error.exceptions]
    chosen = [each for kind in (StaleLease, Away, Wait) for each in errors if isinstance(each, kind)]
    return (chosen or errors)[0]


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancels a task and waits until it has ended."""
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task
