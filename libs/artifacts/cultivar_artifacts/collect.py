"""Garbage collection: removes what no live manifest names, once it is older than a grace period."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.errors import LockNotAvailable
from sqlalchemy import DateTime, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_artifacts.errors import ArtifactInvalid
from cultivar_artifacts.manifests import load_manifest
from cultivar_artifacts.store import ArtifactStore, Stored, require_project
from cultivar_artifacts.tables import manifest_table, part_table, project_lock

GRACE = timedelta(hours=24)
"""How long what nobody names is kept, because its manifest may be about to be committed."""

_AT_ONCE = 100
_LOCK_WAIT = "5s"


@dataclass(frozen=True, slots=True)
class Collected:
    """Counts what was removed: blobs, their bytes, and documents of manifests that are not live.

    `complete` is False when commits kept the project busy, so that the rest is left for the next time.
    """

    blobs: int
    bytes: int
    documents: int
    complete: bool


async def collect_garbage(
    connection: AsyncConnection, store: ArtifactStore, project: str, grace: timedelta = GRACE
) -> Collected:
    """Removes a project's blobs and documents that no live manifest names and that were last put before `grace` ago.

    Runs in the caller's transaction, at READ COMMITTED (PostgreSQL's default). A commit to the project waits for 100
    deletions at most. When a live manifest cannot be read, nothing more is removed and the error says which it is.
    """
    if await connection.scalar(select(func.current_setting("transaction_isolation"))) != "read committed":
        raise ArtifactInvalid("garbage collection must see commits as they happen: use the isolation READ COMMITTED")
    sweep = _Sweep(connection, store, require_project(project))
    await sweep.refresh()
    cutoff = await _database_time(connection) - grace
    old_blobs = [blob async for blob in store.list(project) if blob.modified < cutoff]
    old_documents = [document async for document in store.list_documents(project) if document.modified < cutoff]
    blobs = await sweep.remove(old_blobs, sweep.files, store.delete)
    documents = await sweep.remove(old_documents, sweep.digests, store.delete_document)
    return Collected(len(blobs), sum(blob.size for blob in blobs), len(documents), sweep.complete)


class _Sweep:
    """One collection: the live manifests seen so far, the files they name, and the removals."""

    def __init__(self, connection: AsyncConnection, store: ArtifactStore, project: str) -> None:
        self.digests: set[str] = set()
        self.files: set[str] = set()
        self.complete = True
        self._connection = connection
        self._store = store
        self._project = project

    async def refresh(self) -> None:
        """Adds the manifests and parts that were committed since the last time."""
        columns = manifest_table.c
        live = select(columns.digest).where(columns.project == self._project, columns.erased_at.is_(None))
        new = [digest for digest in await self._connection.scalars(live) if digest not in self.digests]
        for start in range(0, len(new), _AT_ONCE):
            batch = new[start : start + _AT_ONCE]
            for manifest in await asyncio.gather(*(load_manifest(self._store, self._project, one) for one in batch)):
                self.files.update(file.sha256 for file in manifest.files)
        self.digests.update(new)
        # What a run that is under way, or waits for a person for weeks, has made is named by no manifest yet.
        parts = select(part_table.c.file["sha256"].astext).where(part_table.c.project == self._project)
        self.files.update(await self._connection.scalars(parts))

    async def remove(
        self, old: list[Stored], named: set[str], delete: Callable[[str, str], Awaitable[None]]
    ) -> list[Stored]:
        """Deletes what is not in `named`, asking the table again before each batch."""
        candidates = [item for item in old if item.sha256 not in named]
        removed: list[Stored] = []
        for start in range(0, len(candidates), _AT_ONCE):
            async with self._without_commits() as alone:
                if not alone:
                    self.complete = False
                    break
                await self.refresh()
                batch = [item for item in candidates[start : start + _AT_ONCE] if item.sha256 not in named]
                await asyncio.gather(*(delete(self._project, item.sha256) for item in batch))
                removed.extend(batch)
        return removed

    @asynccontextmanager
    async def _without_commits(self) -> AsyncIterator[bool]:
        """Keeps commits to the project waiting; gives False when those under way did not end in 5 seconds.

        A commit checks that its files are there under the same lock, so a file is either seen as named or seen as gone.
        """
        # Rolling the savepoint back is what gives the lock back before the caller's transaction ends.
        savepoint = await self._connection.begin_nested()
        try:
            await self._connection.execute(select(func.set_config("lock_timeout", _LOCK_WAIT, True)))
            alone = await self._lock()
            yield alone
        finally:
            await savepoint.rollback()

    async def _lock(self) -> bool:
        try:
            await self._connection.execute(select(func.pg_advisory_xact_lock(project_lock(self._project))))
        except OperationalError as error:
            if isinstance(error.orig, LockNotAvailable):
                return False
            raise
        return True


async def _database_time(connection: AsyncConnection) -> datetime:
    now: datetime = (await connection.execute(select(func.clock_timestamp(type_=DateTime(timezone=True))))).scalar_one()
    return now
