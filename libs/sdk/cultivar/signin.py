"""Who is signed in on this machine: what was granted for each server, in a file, and the token that is valid now.

The file is of mode 0600. A refresh token may count once alone, so whoever renews holds a lock: of several processes one
asks the issuer, and the others find what it was given.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from cultivar.errors import NotConnected
from cultivar.issuer import Grant, Issuer, IssuerError

LOCK_SECONDS = 60.0
RETRY_SECONDS = 10.0
KEPT = TypeAdapter(dict[str, Grant])


def config_dir() -> Path:
    """Returns the folder for settings of this person (XDG base directory specification)."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "cultivar"


class Grants:
    """The grants of this person, by the address of the server."""

    def __init__(self) -> None:
        self.path = config_dir() / "grants.json"

    def read(self) -> dict[str, Grant]:
        """Returns what is granted; nothing where there is no file, or one that is not ours."""
        try:
            return KEPT.validate_json(self.path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return {}

    @contextmanager
    def changing(self) -> Iterator[dict[str, Grant]]:
        """Gives what is granted and keeps what it was made, while no other process does; raises NotConnected."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with FileLock(self.path.with_suffix(".lock"), LOCK_SECONDS, mode=0o600):
                kept = self.read()
                before = dict(kept)
                yield kept
                if kept != before:
                    self._write(kept)
        except Timeout as error:
            raise NotConnected(
                f"another program has held {error.lock_file} for {LOCK_SECONDS:.0f} s: end it, and try again"
            ) from error

    def _write(self, kept: dict[str, Grant]) -> None:
        # A temporary file is made with mode 0600, and a reader finds the one before or the one after.
        with tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=".grants-", delete=False) as draft:
            try:
                draft.write(KEPT.dump_json(kept))
                draft.flush()
                os.fsync(draft.fileno())
                os.replace(draft.name, self.path)
            except OSError:
                os.unlink(draft.name)
                raise


class SignedIn:
    """The access token of who signed in for a server; safe for several threads."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._grants = Grants()
        self._grant: Grant | None = None
        self._looking = Lock()

    def __call__(self) -> str:
        """Returns the token, renewed in time; raises NotConnected where nobody is signed in, or no longer."""
        with self._looking:
            if self._grant is None or self._grant.renew_time <= time.time():
                self._grant = self._find()
            return self._grant.access_token

    def _find(self) -> Grant:
        grant = self._of(self._grants.read())
        if grant.renew_time > time.time():
            return grant
        with self._grants.changing() as kept:
            grant = self._of(kept)
            if grant.renew_time <= time.time():
                try:
                    grant = kept[self._address] = Issuer(grant.issuer, grant.client_id).renew(grant)
                except IssuerError as error:
                    grant = to_its_end(grant, self._address, error)
        return grant

    def _of(self, kept: Mapping[str, Grant]) -> Grant:
        if self._address not in kept:
            raise NotConnected(
                f"nobody is signed in at {self._address}: sign in with `cultivar login`, or set CULTIVAR_TOKEN"
            )
        return kept[self._address]


def to_its_end(grant: Grant, address: str, error: IssuerError) -> Grant:
    """Returns a grant that could not be renewed, to be tried again in a moment; raises NotConnected once it is over."""
    now = time.time()
    if grant.expire_time <= now:
        raise NotConnected(
            f"the sign-in at {address} has expired, and {error}: sign in again with `cultivar login`"
        ) from error
    return grant.model_copy(update={"renew_time": min(now + RETRY_SECONDS, grant.expire_time)})
