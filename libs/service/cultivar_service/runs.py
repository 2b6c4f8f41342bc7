"""Runs as rows: made once for a request, listed, watched, cancelled. The engine that works on them is `engine.py`."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rfc8785
import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_service import leftovers, tables
from cultivar_service.audit import record_change
from cultivar_service.database import Database
from cultivar_service.errors import FailedPrecondition, InvalidArgument, NotFound
from cultivar_service.names import new_id
from cultivar_service.paging import Page, decode_token, encode_token
from cultivar_service.principal import Principal

PENDING, RUNNING, WAITING = "PENDING", "RUNNING", "WAITING"
SUCCEEDED, FAILED, CANCELLING, CANCELLED = "SUCCEEDED", "FAILED", "CANCELLING", "CANCELLED"
FINAL = (SUCCEEDED, FAILED, CANCELLED)
WATCH_SECONDS = 0.2
# Those of this process that watch a run, by its id: they hear at once of what this process did with it.
_WATCHING: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
# Keys of a cursor that are the engine's: since when and how often it waits for somebody, and that a person retried it.
AWAY, RETRIED = "away", "retried"


@dataclass(frozen=True)
class Run:
    """A run as its row says it."""

    id: str
    project: str
    kind: str
    principal: str
    spec: dict[str, Any]
    state: str
    waiting_for: str
    cursor: dict[str, Any]
    progress: dict[str, Any]
    usage: dict[str, Any]
    result: dict[str, Any]
    error: dict[str, Any] | None
    attempt: int
    failures: int
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None
    update_time: datetime
    lease_token: int

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> "Run":
        """Reads a row of the table."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})

    @property
    def final(self) -> bool:
        """Whether the run has ended."""
        return self.state in FINAL


def digest_of(value: Any) -> str:
    """Returns SHA-256 over the canonical JSON (RFC 8785) of a value, in hexadecimal."""
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()


def digest_of_request(request: Message) -> str:
    """Returns the digest of a request as it was sent."""
    return digest_of(request.SerializeToString(deterministic=True).hex())


def wake(run_id: str) -> None:
    """Lets those of this process who watch a run look at it at once."""
    for changed in _WATCHING.get(run_id, ()):
        changed.set()


@contextmanager
def _watching(run_id: str) -> Iterator[asyncio.Event]:
    changed = asyncio.Event()
    _WATCHING[run_id].add(changed)
    try:
        yield changed
    finally:
        _WATCHING[run_id].discard(changed)
        if not _WATCHING[run_id]:
            del _WATCHING[run_id]


class Runs:
    """The runs of one kind in one service."""

    def __init__(self, database: Database, kind: str, collection: str) -> None:
        self.database = database
        self.kind = kind
        self.collection = collection

    def name(self, run: Run) -> str:
        """Returns the resource name of a run."""
        return f"projects/{run.project}/{self.collection}/{run.id}"

    async def create(
        self,
        principal: Principal,
        project: str,
        request_id: str,
        spec: dict[str, Any],
        also: Callable[[AsyncConnection, Run], Awaitable[None]] | None = None,
        sent: Message | None = None,
        but: Collection[str] = (),
    ) -> Run:
        """Makes a run; the same request id again returns the first, and with another spec raises InvalidArgument.

        sent: the request, where what it is resolved to may change until it is sent again: then that must be the same.
        but: keys of the spec that are no part of what must be the same where it is known by what it was resolved to.
        `also` writes what belongs to the run in the transaction that makes it; what it raises undoes the run.
        """
        digest = digest_of({name: value for name, value in spec.items() if name not in but})
        sent_digest = digest_of_request(sent) if sent is not None else None
        values = {
            "id": new_id(),
            "project": project,
            "kind": self.kind,
            "request_id": request_id or None,
            "request_digest": digest,
            "sent_digest": sent_digest,
            "principal": principal.name,
            "spec": spec,
        }
        statement = insert(tables.run).values(values).on_conflict_do_nothing().returning(tables.run)
        async with self.database.begin() as connection:
            row = (await connection.execute(statement)).mappings().first()
            if row is None:
                return await self._repeated(connection, project, request_id, digest, sent_digest)
            run = Run.of(row)
            await record_change(connection, principal, project, f"create {self.kind}", self.name(run))
            if also is not None:
                await also(connection, run)
        return run

    async def find(self, project: str, request_id: str, sent: Message) -> Run | None:
        """Returns the run that a request made when it was sent before; None where it is to be resolved.

        Raises InvalidArgument where the request id was another request's.
        """
        statement = sa.select(tables.run).where(*self._mine(project), tables.run.c.request_id == request_id)
        async with self.database.begin() as connection:
            row = (await connection.execute(statement)).mappings().first() if request_id else None
        if row is None or row["sent_digest"] is None:
            return None
        return self._same(row, request_id, row["sent_digest"] == digest_of_request(sent))

    async def _repeated(
        self, connection: AsyncConnection, project: str, request_id: str, digest: str, sent: str | None
    ) -> Run:
        statement = sa.select(tables.run).where(*self._mine(project), tables.run.c.request_id == request_id)
        row = (await connection.execute(statement)).mappings().one()
        as_sent = sent is not None and row["sent_digest"] is not None
        same = row["sent_digest"] == sent if as_sent else row["request_digest"] == digest
        return self._same(row, request_id, same)

    def _same(self, row: sa.RowMapping, request_id: str, same: bool) -> Run:
        if not same:
            raise InvalidArgument(
                f"request_id {request_id!r} was used for another {self.kind}: take a new id for another request",
                field="request_id",
                reason="REQUEST_ID_REUSED",
            )
        return Run.of(row)

    def _mine(self, project: str) -> tuple[sa.ColumnElement[bool], ...]:
        return tables.run.c.project == project, tables.run.c.kind == self.kind

    async def get(self, project: str, run_id: str) -> Run:
        """Returns a run; raises NotFound where the project has none of that id."""
        statement = sa.select(tables.run).where(*self._mine(project), tables.run.c.id == run_id)
        async with self.database.begin() as connection:
            return Run.of(await self._found(connection, statement, project, run_id))

    async def _found(
        self, connection: AsyncConnection, statement: sa.Select[Any], project: str, run_id: str
    ) -> sa.RowMapping:
        row: sa.RowMapping | None = (await connection.execute(statement)).mappings().first()
        if row is None:
            raise NotFound(f"projects/{project}/{self.collection}/{run_id} does not exist")
        return row

    async def list(self, project: str, page_size: int, page_token: str) -> Page[Run]:
        """Returns a page of the runs of a project, the newest first."""
        before = decode_token(page_token, self.collection)
        size = page_size or 50
        statement = sa.select(tables.run).where(*self._mine(project)).order_by(tables.run.c.id.desc()).limit(size + 1)
        if before:
            statement = statement.where(tables.run.c.id < before)
        async with self.database.begin() as connection:
            runs = [Run.of(row) for row in (await connection.execute(statement)).mappings()]
        more = len(runs) > size
        return Page(runs[:size], encode_token(runs[size - 1].id, self.collection) if more else "")

    async def watch(self, project: str, run_id: str) -> AsyncIterator[Run]:
        """Yields a run now and each time it changes, until its state is final."""
        last: datetime | None = None
        with _watching(run_id) as changed:
            while True:
                changed.clear()
                run = await self.get(project, run_id)
                if run.update_time != last:
                    last = run.update_time
                    yield run
                if run.final:
                    return
                # Another process may hold the run, and says nothing here.
                with suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_SECONDS):
                        await changed.wait()

    async def cancel(self, principal: Principal, project: str, run_id: str) -> Run:
        """Asks a run to stop; has no effect on one that ended."""
        return await self._change(
            principal, project, run_id, "cancel", {"state": CANCELLING, "waiting_for": "", "wake_time": None}
        )

    async def pause(self, principal: Principal, project: str, run_id: str) -> Run:
        """Lets a run wait until it is resumed; raises FailedPrecondition where it has ended."""
        run = await self._change(
            principal, project, run_id, "pause", {"state": WAITING, "waiting_for": "resume", "wake_time": None}
        )
        if run.state != WAITING:
            raise FailedPrecondition(f"{self.name(run)} is {run.state} and cannot be paused")
        return run

    async def resume(self, principal: Principal, project: str, run_id: str) -> Run:
        """Lets a waiting run go on at once; raises FailedPrecondition where it has ended."""
        run = await self._change(principal, project, run_id, "resume", {"wake_time": sa.func.now()}, (WAITING,))
        if run.final:
            raise FailedPrecondition(f"{self.name(run)} is {run.state} and cannot be resumed")
        return run

    async def retry(
        self,
        connection: AsyncConnection,
        principal: Principal,
        project: str,
        run_id: str,
        amended: Callable[[Run], dict[str, Any]],
    ) -> Run:
        """Lets a run that ended go on from its cursor, which says so; has no effect on one that has not ended.

        `amended` returns the spec to go on with, and raises where nothing is left to do. Raises FailedPrecondition
        where what the run left is gone.
        """
        row, mine = tables.run.c, (*self._mine(project), tables.run.c.id == run_id)
        statement = sa.select(tables.run, leftovers.OLD.label("old")).where(*mine).with_for_update()
        found = await self._found(connection, statement, project, run_id)
        run = Run.of(found)
        if not run.final:
            return run
        spec = amended(run)
        if found["old"]:
            raise FailedPrecondition(
                f"{self.name(run)} ended over {leftovers.KEPT.days} days ago, what it left is gone: make another run"
            )
        cursor = {**{name: value for name, value in run.cursor.items() if name != AWAY}, RETRIED: True}
        values = {"state": PENDING, "spec": spec, "error": None, "result": {}, "end_time": None, "failures": 0}
        values["cursor"] = cursor
        again = sa.update(tables.run).where(*mine).values(update_time=sa.func.clock_timestamp(), **values)
        await record_change(connection, principal, project, f"retry {self.kind}", self.name(run))
        return Run.of((await connection.execute(again.returning(*row))).mappings().one())

    async def _change(
        self,
        principal: Principal,
        project: str,
        run_id: str,
        action: str,
        values: dict[str, Any],
        states: tuple[str, ...] = (PENDING, RUNNING, WAITING),
    ) -> Run:
        statement = (
            sa.update(tables.run)
            .where(*self._mine(project), tables.run.c.id == run_id, tables.run.c.state.in_(states))
            .values(update_time=sa.func.clock_timestamp(), **values)
            .returning(tables.run)
        )
        async with self.database.begin() as connection:
            row = (await connection.execute(statement)).mappings().first()
            if row is not None:
                run = Run.of(row)
                await record_change(connection, principal, project, f"{action} {self.kind}", self.name(run))
                return run
        return await self.get(project, run_id)
