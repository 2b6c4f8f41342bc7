"""Recorded answers: what a model was paid for outlives its run's process, until what was made of it is committed."""

import asyncio

import pytest
import sqlalchemy as sa
from cultivar_service import tables
from cultivar_service.answers import GROUP, GROUP_SECONDS, Answers
from cultivar_service.database import Database
from cultivar_service.errors import Unavailable

RUN = "r1"


async def kept(database: Database) -> dict[str, bytes]:
    """Returns what another process would find."""
    async with database.begin() as connection:
        rows = await connection.execute(sa.select(tables.answer.c.key, tables.answer.c.body))
        return {key: bytes(body) for key, body in rows}


async def commit(database: Database, answers: Answers, part: int) -> None:
    """Commits a part, as the work of a run does."""
    await answers.close_part(part)
    async with database.begin() as connection:
        await answers.prune(connection, part)


async def test_a_full_group_is_kept_at_once_and_a_smaller_one_after_its_time(database: Database) -> None:
    answers = Answers(database, RUN)
    for number in range(GROUP):
        await answers.put(f"k{number}", b"full\x00group")
    await asyncio.sleep(GROUP_SECONDS / 2)
    assert await kept(database) == {f"k{number}": b"full\x00group" for number in range(GROUP)}
    await answers.put("late", b"x")
    assert "late" not in await kept(database)
    await asyncio.sleep(GROUP_SECONDS * 3)
    assert "late" in await kept(database)


async def test_a_later_attempt_is_given_each_kept_answer_once_and_none_of_another_run(database: Database) -> None:
    first, other = Answers(database, RUN), Answers(database, "r2")
    await first.put("k", b"mine")
    await other.put("k", b"other's")
    await asyncio.sleep(GROUP_SECONDS * 3)
    again = Answers(database, RUN)
    await again.load()
    assert [await again.get("k"), await again.get("k")] == [b"mine", None]


async def test_a_committed_part_leaves_nothing_and_takes_nothing_of_the_next(database: Database) -> None:
    answers = Answers(database, RUN)

    async def record(part: int) -> None:
        answers.of_part(part)
        for number in range(GROUP - 1 + part):
            await answers.put(f"{part}-{number}", b"x")
            await asyncio.sleep(0)

    await asyncio.gather(asyncio.create_task(record(0)), asyncio.create_task(record(1)))
    await commit(database, answers, 0)
    await asyncio.sleep(GROUP_SECONDS * 3)
    assert {key[0] for key in await kept(database)} == {"1"} and len(await kept(database)) == GROUP
    await commit(database, answers, 1)
    assert await kept(database) == {}


async def test_a_part_is_committed_while_answers_of_the_next_never_cease(database: Database) -> None:
    answers = Answers(database, RUN)
    await answers.put("0-0", b"x")

    async def never_cease() -> None:
        answers.of_part(1)
        for number in range(1_000_000):
            await answers.put(f"1-{number}", b"x")
            await asyncio.sleep(0.001)

    endless = asyncio.create_task(never_cease())
    async with asyncio.timeout(20):
        while "1-0" not in await kept(database):
            await asyncio.sleep(GROUP_SECONDS / 4)
    await asyncio.wait_for(commit(database, answers, 0), 5)
    endless.cancel()
    found = await kept(database)
    assert "0-0" not in found and "1-0" in found


async def test_who_records_next_is_told_that_a_group_could_not_be_kept(database: Database) -> None:
    answers = Answers(database, RUN)
    async with database.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE answer RENAME TO hidden"))
    await answers.put("k", b"x")
    await asyncio.sleep(GROUP_SECONDS * 3)
    with pytest.raises(sa.exc.ProgrammingError):
        await answers.put("next", b"x")


async def test_an_absent_database_is_said_as_such(database: Database) -> None:
    gone = Database("postgresql://nobody@127.0.0.1:9/none", "example")
    answers = Answers(gone, RUN)
    await answers.put("k", b"x")
    await asyncio.sleep(GROUP_SECONDS * 3)
    with pytest.raises(Unavailable):
        await answers.put("next", b"x")
    await gone.close()


async def test_a_part_that_is_committed_leaves_what_came_for_the_calls_that_are_unmade(database: Database) -> None:
    answers = Answers(database, RUN)

    async def record(call: str) -> None:
        answers.of_call(call)
        for number in range(2):
            await answers.put(f"{call}-{number}", b"x")
            # The second group is still to be written when the part is committed.
            await asyncio.sleep(GROUP_SECONDS * 2)

    answers.of_part(3)
    await asyncio.gather(asyncio.create_task(record("made")), asyncio.create_task(record("cut")))
    await answers.put("late", b"x")
    await answers.close_part(3, {"cut"})
    async with database.begin() as connection:
        await answers.prune(connection, 3, {"cut"})
    await asyncio.sleep(GROUP_SECONDS * 3)
    assert set(await kept(database)) == {"cut-0", "cut-1"}


async def test_what_an_earlier_attempt_left_of_another_part_goes_with_the_part_that_used_it(database: Database) -> None:
    first = Answers(database, RUN)
    first.of_part(1)
    for key in ("used", "unused"):
        await first.put(key, b"x")
    await asyncio.sleep(GROUP_SECONDS * 3)
    again = Answers(database, RUN)
    await again.load()
    assert (again.left_from(1), again.left_from(2)) == (2, 0)
    again.of_part(7)
    assert await again.get("used") == b"x" and again.left_from(1) == 1
    await commit(database, again, 7)
    assert set(await kept(database)) == {"unused"}
