"""Sessions and sign-ins in the schema of the console."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from cultivar_console.__main__ import MIGRATIONS, SCHEMA
from cultivar_console.sessions import Grant, Sessions, SignIn, session, sign_in
from cultivar_service.database import Database

UNDER_WAY = SignIn(state="s", nonce="n", verifier="v", next="/there")


def grant(token: str, seconds: float) -> Grant:
    """A grant that is to be renewed in some seconds."""
    return Grant(access_token=token, refresh_token="r", renew_time=time.time() + seconds, expire_time=time.time() + 600)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The schema of the console."""
    opened = Database(database_url, SCHEMA)
    await opened.migrate(MIGRATIONS)
    yield opened
    await opened.close()


async def let_pass(database: Database, table: sa.Table, column: str, interval: str) -> None:
    """Moves the times of all rows back."""
    moved = {column: table.c[column] - sa.text(f"interval '{interval}'")}
    async with database.begin() as connection:
        await connection.execute(sa.update(table).values(**moved))


async def test_a_session_lasts_while_it_is_used_and_ends_when_it_is_not(database: Database) -> None:
    kept = Sessions(database)
    secret = await kept.open("ada")
    for _ in range(3):
        await let_pass(database, session, "seen_time", "11 hours")
        found = await kept.find(secret)
        assert found is not None and found.principal == "ada"
    await let_pass(database, session, "seen_time", "13 hours")
    assert await kept.find(secret) is None
    assert await kept.find("") is None


async def test_a_session_ends_after_seven_days_however_much_it_is_used(database: Database) -> None:
    kept = Sessions(database)
    secret = await kept.open("ada")
    await let_pass(database, session, "create_time", "8 days")
    assert await kept.find(secret) is None
    await kept.open("bob")
    async with database.begin() as connection:
        assert (await connection.execute(sa.select(session.c.principal))).scalars().all() == ["bob"]


async def test_a_closed_session_opens_nothing_and_others_go_on(database: Database) -> None:
    kept = Sessions(database)
    first, second = await kept.open("ada"), await kept.open("ada")
    await kept.close(first)
    assert await kept.find(first) is None
    assert await kept.find(second) is not None


async def test_another_replica_knows_the_session(database: Database) -> None:
    secret = await Sessions(database).open("ada", grant("token", 60))
    found = await Sessions(database).find(secret)
    assert found is not None and found.grant is not None and found.grant.access_token == "token"


async def test_the_table_says_neither_secrets_nor_tokens(database: Database) -> None:
    kept = Sessions(database)
    secrets = [await kept.open("ada", grant("an-access-token", 60)), await kept.begin(UNDER_WAY)]
    async with database.begin() as connection:
        rows = [
            str(dict(row))
            for table in (session, sign_in)
            for row in (await connection.execute(sa.select(table))).mappings()
        ]
    assert len(rows) == 2
    for hidden in (*secrets, "an-access-token", "/there"):
        assert not any(hidden in row for row in rows)


async def test_a_sign_in_is_taken_once_and_within_ten_minutes(database: Database) -> None:
    kept = Sessions(database)
    secret, late = await kept.begin(UNDER_WAY), await kept.begin(UNDER_WAY)
    assert sorted([answer is not None for answer in await asyncio.gather(kept.take(secret), kept.take(secret))]) == [
        False,
        True,
    ]
    await let_pass(database, sign_in, "create_time", "11 minutes")
    assert await kept.take(late) is None
    assert await kept.take("guess") is None


async def test_a_grant_is_renewed_once_for_all_who_ask_at_the_same_time(database: Database) -> None:
    kept, asked = Sessions(database), []

    async def renewed(old: Grant) -> Grant:
        asked.append(old.access_token)
        await asyncio.sleep(0.05)
        return grant("second", 60)

    secret = await kept.open("ada", grant("first", -1))
    answers = await asyncio.gather(*(kept.renew(secret, renewed) for _ in range(5)))
    assert [answer.access_token for answer in answers if answer] == ["second"] * 5
    assert asked == ["first"]


async def test_a_session_ends_when_nothing_is_granted_any_more(database: Database) -> None:
    kept = Sessions(database)

    async def refused(old: Grant) -> None:
        return None

    secret = await kept.open("ada", grant("first", -1))
    assert await kept.renew(secret, refused) is None
    assert await kept.find(secret) is None
