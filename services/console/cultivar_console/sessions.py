"""Who is signed in: sessions and one-time codes, in the memory of this process."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

SESSION_SECONDS = 12 * 3600.0
CODE_SECONDS = 3600.0
MOST_SESSIONS = 10_000


@dataclass
class Session:
    """One browser that is signed in; its forms and calls carry `csrf`."""

    principal: str
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    last_seen: float = 0.0


class Sessions:
    """Sessions by the digest of their secret id, so that what lies in memory opens nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._codes: dict[str, tuple[str, float]] = {}

    def open(self, principal: str) -> str:
        """Opens a session and returns its secret id; the one unused longest goes when there are too many."""
        while len(self._sessions) >= MOST_SESSIONS:
            self._sessions.pop(min(self._sessions, key=lambda key: self._sessions[key].last_seen))
        secret = secrets.token_urlsafe(32)
        self._sessions[digest_of(secret)] = Session(principal, last_seen=self._clock())
        return secret

    def find(self, secret: str) -> Session | None:
        """Returns the session of an id; None for an unknown one, and for one unused for twelve hours."""
        session = self._sessions.get(digest_of(secret))
        if session is None:
            return None
        if self._clock() - session.last_seen > SESSION_SECONDS:
            self.close(secret)
            return None
        session.last_seen = self._clock()
        return session

    def close(self, secret: str) -> None:
        """Ends a session."""
        self._sessions.pop(digest_of(secret), None)

    def new_code(self, principal: str) -> str:
        """Returns a code that signs a principal in, once, within an hour."""
        code = secrets.token_urlsafe(24)
        self._codes[digest_of(code)] = principal, self._clock() + CODE_SECONDS
        return code

    def use_code(self, code: str) -> str | None:
        """Returns whom a code signs in, and lets it do so never again; None for one that is used or too old."""
        principal, until = self._codes.pop(digest_of(code), ("", 0.0))
        return principal if principal and until > self._clock() else None


def digest_of(secret: str) -> str:
    """Returns SHA-256 of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()
