"""Recorded answers of models: written in groups, so that a killed run pays again for no answer that it was given."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_service import tables
from cultivar_service.database import Database

GROUP = 64
GROUP_SECONDS = 0.2
# One statement of four parameters, however many rows: to write out a row's own costs more than to store it.
PLACE = sa.text(
    "INSERT INTO answer (run, key, part, body) "
    "SELECT :run, * FROM unnest(CAST(:keys AS text[]), CAST(:parts AS integer[]), CAST(:bodies AS bytea[])) "
    "ON CONFLICT DO NOTHING"
)


class Answers:
    """The recorded answers of one run; a kill loses at most the last group that had not committed."""

    def __init__(self, database: Database, run: str) -> None:
        self._database = database
        self._run = run
        self._known: dict[str, bytes] = {}
        self._waiting: dict[str, tuple[int, bytes]] = {}
        self._part: ContextVar[int] = ContextVar("part", default=0)
        self._full = asyncio.Event()
        self._writing = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Reads the answers that an earlier attempt left."""
        statement = sa.select(tables.answer.c.key, tables.answer.c.body).where(tables.answer.c.run == self._run)
        async with self._database.begin() as connection:
            self._known = {key: bytes(body) for key, body in await connection.execute(statement)}

    @property
    def left(self) -> int:
        """How many answers of an earlier attempt nobody has asked for yet."""
        return len(self._known)

    def of_part(self, number: int) -> None:
        """Says that what the present task records from now on belongs to one part of the run."""
        self._part.set(number)

    async def get(self, key: str) -> bytes | None:
        """Returns the answer that was recorded under a key; None where there is none."""
        return self._known.pop(key, None)

    async def put(self, key: str, answer: bytes) -> None:
        """Records an answer with the next 64, or after 200 ms; raises what the group before failed with."""
        self._waiting[key] = (self._part.get(), answer)
        if len(self._waiting) >= GROUP:
            self._full.set()
        if self._writer is None or self._writer.done():
            if self._writer is not None:
                self._writer.result()
            self._writer = asyncio.create_task(self._write_groups())

    async def _write_groups(self) -> None:
        while self._waiting:
            self._full.clear()
            if len(self._waiting) < GROUP:
                with suppress(TimeoutError):
                    async with asyncio.timeout(GROUP_SECONDS):
                        await self._full.wait()
            async with self._writing:
                group, self._waiting = self._waiting, {}
                if group:
                    await self._write(group)

    async def _write(self, group: Mapping[str, tuple[int, bytes]]) -> None:
        parts, bodies = zip(*group.values(), strict=True)
        rows = {"run": self._run, "keys": list(group), "parts": list(parts), "bodies": list(bodies)}
        async with self._database.begin() as connection:
            await connection.execute(PLACE, rows)

    async def close_part(self, part: int) -> None:
        """Writes no more of a part, all of whose answers are about to be committed as what was made of them."""
        # Not until the group that is being written is: else it would come after `prune`, and stay.
        async with self._writing:
            self._waiting = {key: kept for key, kept in self._waiting.items() if kept[0] != part}

    async def prune(self, connection: AsyncConnection, part: int) -> None:
        """Forgets the answers of a part that the transaction commits."""
        await connection.execute(
            sa.delete(tables.answer).where(tables.answer.c.run == self._run, tables.answer.c.part == part)
        )
