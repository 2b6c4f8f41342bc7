"""Recorded answers of models: written in groups, so that a killed run pays again for no answer that it was given."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
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
PRUNE = sa.text(
    "DELETE FROM answer WHERE run = :run AND (part = :part OR key = ANY(CAST(:moved AS text[]))) "
    "AND key <> ALL(CAST(:kept AS text[]))"
)


class Answers:
    """The recorded answers of one run; a kill loses at most the last group that had not committed."""

    def __init__(self, database: Database, run: str) -> None:
        self._database = database
        self._run = run
        self._known: dict[str, tuple[int, bytes]] = {}
        self._unasked: Counter[int] = Counter()
        self._waiting: dict[str, tuple[int, bytes]] = {}
        # For each part under way, the call that each key of it is of.
        self._calls: defaultdict[int, dict[str, str]] = defaultdict(dict)
        # For each part under way, the keys that an earlier attempt recorded as of another.
        self._moved: defaultdict[int, list[str]] = defaultdict(list)
        self._part: ContextVar[int] = ContextVar("part", default=0)
        self._call: ContextVar[str] = ContextVar("call", default="")
        self._full = asyncio.Event()
        self._writing = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Reads the answers that an earlier attempt left."""
        row = tables.answer.c
        statement = sa.select(row.key, row.part, row.body).where(row.run == self._run)
        async with self._database.begin() as connection:
            self._known = {key: (part, bytes(body)) for key, part, body in await connection.execute(statement)}
        self._unasked = Counter(part for part, _ in self._known.values())

    def left_from(self, part: int) -> int:
        """Returns how many answers of an earlier attempt, of a part and those after it, nobody has asked for yet."""
        return sum(count for number, count in self._unasked.items() if number >= part)

    def of_part(self, number: int) -> None:
        """Says that what the present task records from now on belongs to one part of the run."""
        self._part.set(number)

    def of_call(self, name: str) -> None:
        """Says that what the present task asks for and records from now on belongs to one call of its part."""
        self._call.set(name)

    async def get(self, key: str) -> bytes | None:
        """Returns the answer that was recorded under a key; None where there is none."""
        part, answer = self._known.pop(key, (0, None))
        if answer is not None:
            self._unasked[part] -= 1
            now = self._part.get()
            self._calls[now][key] = self._call.get()
            if part != now:
                self._moved[now].append(key)
        return answer

    async def put(self, key: str, answer: bytes) -> None:
        """Records an answer with the next 64, or after 200 ms; raises what the group before failed with."""
        self._waiting[key] = (self._part.get(), answer)
        self._calls[self._part.get()][key] = self._call.get()
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

    async def close_part(self, part: int, unmade: Collection[str] = ()) -> None:
        """Writes no more of a part, all of whose answers are about to be committed as what was made of them.

        unmade: the calls of which nothing is made yet, though some of their answers may have come.
        """
        calls = self._calls.get(part, {})
        # Not until the group that is being written is: else it would come after `prune`, and stay.
        async with self._writing:
            self._waiting = {
                key: kept for key, kept in self._waiting.items() if kept[0] != part or calls.get(key) in unmade
            }

    async def prune(self, connection: AsyncConnection, part: int, unmade: Collection[str] = ()) -> None:
        """Forgets the answers of a part that the transaction commits, but for those of calls that are unmade yet."""
        calls = self._calls.get(part, {})
        kept = [key for key, call in calls.items() if call in unmade]
        moved = [key for key in self._moved.get(part, ()) if calls.get(key) not in unmade]
        await connection.execute(PRUNE, {"run": self._run, "part": part, "moved": moved, "kept": kept})
        if not unmade:
            self._calls.pop(part, None)
            self._moved.pop(part, None)
