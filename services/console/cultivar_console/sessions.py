"""Who is signed in: a browser holds a secret id, the schema `console` the rest, so any replica knows the session.

A row is found by the digest of its secret, and what must stay secret in it is sealed with a key made of the secret:
who reads the table can neither take a session's place nor use its tokens. All times are the database's.
"""

import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import sqlalchemy as sa
from cultivar_service.database import Database
from joserfc import jwe
from joserfc.jwk import OctKey
from pydantic import BaseModel

IDLE = timedelta(hours=12)
LONGEST = timedelta(days=7)
SIGN_IN = timedelta(minutes=10)
SEEN_AGAIN = timedelta(minutes=1)
CODE_SECONDS = 3600.0
SEALING = {"alg": "dir", "enc": "A256GCM"}
Content = TypeVar("Content", bound=BaseModel)

metadata = sa.MetaData()
TIME = sa.TIMESTAMP(timezone=True)
session = sa.Table(
    "session",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("principal", sa.Text),
    sa.Column("csrf", sa.Text),
    sa.Column("sealed", sa.Text),
    sa.Column("create_time", TIME),
    sa.Column("seen_time", TIME),
)
sign_in = sa.Table(
    "sign_in",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("sealed", sa.Text),
    sa.Column("create_time", TIME),
)


class Grant(BaseModel):
    """What the issuer granted to a person who signed in; times are seconds since 1970."""

    access_token: str
    refresh_token: str = ""
    id_token: str = ""
    renew_time: float
    expire_time: float


class SignIn(BaseModel):
    """A sign-in that is under way, from the redirect to the issuer until the issuer sends the browser back."""

    state: str
    nonce: str
    verifier: str
    next: str


@dataclass(frozen=True)
class Session:
    """One browser that is signed in; its forms and calls carry `csrf`, our calls for it the token of the grant."""

    principal: str
    csrf: str = field(repr=False)
    grant: Grant | None = field(default=None, repr=False)


class Sessions:
    """Sessions and sign-ins in the schema of the console."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, principal: str, grant: Grant | None = None) -> str:
        """Opens a session and returns its secret id; sessions that have ended are forgotten."""
        secret = secrets.token_urlsafe(32)
        row = {"digest": digest_of(secret), "principal": principal, "csrf": secrets.token_urlsafe(24)}
        async with self._database.begin() as connection:
            await connection.execute(sa.delete(session).where(sa.not_(lasting())))
            await connection.execute(sa.insert(session).values(**row, sealed=sealed(secret, grant)))
        return secret

    async def find(self, secret: str) -> Session | None:
        """Returns the session of an id; None for an unknown one, and for one that has ended."""
        mine = sa.and_(session.c.digest == digest_of(secret), lasting())
        seen = sa.update(session).where(mine, session.c.seen_time < sa.func.now() - SEEN_AGAIN)
        async with self._database.begin() as connection:
            row = (await connection.execute(sa.select(session).where(mine))).mappings().first()
            await connection.execute(seen.values(seen_time=sa.func.now()))
        return None if row is None else Session(row["principal"], row["csrf"], unsealed(secret, row["sealed"], Grant))

    async def close(self, secret: str) -> None:
        """Ends a session."""
        async with self._database.begin() as connection:
            await connection.execute(sa.delete(session).where(session.c.digest == digest_of(secret)))

    async def renew(self, secret: str, renewed: Callable[[Grant], Awaitable[Grant | None]]) -> Grant | None:
        """Renews the grant of a session whose time has come, once for all who ask at the same time.

        Returns the grant that holds now; None, and the session is ended, where nothing is granted any more.
        """
        mine = session.c.digest == digest_of(secret)
        async with self._database.begin() as connection:
            found = (await connection.execute(sa.select(session.c.sealed).where(mine).with_for_update())).scalar()
            held = unsealed(secret, found or "", Grant)
            if held is None or held.renew_time > time.time():
                return held
            grant = await renewed(held)
            if grant is None:
                await connection.execute(sa.delete(session).where(mine))
            else:
                await connection.execute(sa.update(session).where(mine).values(sealed=sealed(secret, grant)))
        return grant

    async def begin(self, under_way: SignIn) -> str:
        """Keeps a sign-in for ten minutes and returns its secret id."""
        secret = secrets.token_urlsafe(32)
        async with self._database.begin() as connection:
            await connection.execute(sa.delete(sign_in).where(sign_in.c.create_time < sa.func.now() - SIGN_IN))
            row = {"digest": digest_of(secret), "sealed": sealed(secret, under_way)}
            await connection.execute(sa.insert(sign_in).values(**row))
        return secret

    async def take(self, secret: str) -> SignIn | None:
        """Returns a sign-in that is under way, and forgets it; None for an unknown or an old one."""
        mine = sign_in.c.digest == digest_of(secret)
        fresh = (sign_in.c.create_time >= sa.func.now() - SIGN_IN).label("fresh")
        async with self._database.begin() as connection:
            taken = sa.delete(sign_in).where(mine).returning(sign_in.c.sealed, fresh)
            row = (await connection.execute(taken)).mappings().first()
        return unsealed(secret, row["sealed"], SignIn) if row is not None and row["fresh"] else None


class Codes:
    """One-time codes, in the memory of the process that prints them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._codes: dict[str, tuple[str, float]] = {}

    def new(self, principal: str) -> str:
        """Returns a code that signs a principal in, once, within an hour."""
        code = secrets.token_urlsafe(24)
        self._codes[digest_of(code)] = principal, self._clock() + CODE_SECONDS
        return code

    def use(self, code: str) -> str | None:
        """Returns whom a code signs in, and lets it do so never again; None for one that is used or too old."""
        principal, until = self._codes.pop(digest_of(code), ("", 0.0))
        return principal if principal and until > self._clock() else None


def lasting() -> sa.ColumnElement[bool]:
    """Returns the condition that a session goes on: used within twelve hours, and not older than seven days."""
    used = session.c.seen_time >= sa.func.now() - IDLE
    return sa.and_(used, session.c.create_time >= sa.func.now() - LONGEST)


def digest_of(secret: str) -> str:
    """Returns SHA-256 of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def key_of(secret: str) -> OctKey:
    """Returns the key that seals what belongs to a secret; the digest by which it is found says nothing of it."""
    return OctKey.import_key(hashlib.sha256(b"seal:" + secret.encode()).digest())


def sealed(secret: str, content: BaseModel | None) -> str:
    """Returns content that its secret alone opens; the empty string for None."""
    if content is None:
        return ""
    return jwe.encrypt_compact(
        dict(SEALING), content.model_dump_json().encode(), key_of(secret), list(SEALING.values())
    )


def unsealed(secret: str, text: str, kind: type[Content]) -> Content | None:
    """Returns what was sealed with a secret; None for the empty string."""
    if not text:
        return None
    opened = jwe.decrypt_compact(text, key_of(secret), list(SEALING.values()))
    return kind.model_validate_json(opened.plaintext or b"")
