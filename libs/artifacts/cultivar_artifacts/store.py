"""What an artifact store promises, whatever keeps the bytes."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cultivar_artifacts.errors import ArtifactInvalid

CHUNK = 1 << 20
"""Bytes in one piece of a stream unless the caller asks otherwise."""

_PROJECT = re.compile(r"[a-z][a-z0-9-]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ALIAS = re.compile(r"[a-z][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Blob:
    """Names stored bytes: their SHA-256 (64 hex digits) and their size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Stored:
    """Describes one stored object: its digest, its size in bytes, and when it was last put (UTC)."""

    sha256: str
    size: int
    modified: datetime


class ArtifactStore(Protocol):
    """Keeps immutable blobs under their SHA-256 and manifest documents under the manifest's digest.

    Every call raises `ArtifactInvalid` for a project or digest that cannot be one, and `StoreUnavailable` when the
    store cannot be reached. No call blocks the event loop.
    """

    async def put(self, project: str, source: bytes | Path) -> Blob:
        """Stores bytes or a file's content, all of it or nothing; storing the same again only makes it young.

        Raises `StoreFull`, and `CorruptArtifact` when the file changed while it was being read.
        """

    async def read(self, project: str, sha256: str) -> bytes:
        """Reads a whole blob into memory; raises `ArtifactMissing` and `CorruptArtifact`."""

    def stream(self, project: str, sha256: str, offset: int = 0, chunk: int = CHUNK) -> AsyncIterator[bytes]:
        """Reads a blob from `offset` (bytes) on, in pieces of at most `chunk` bytes.

        The digest is over the whole blob, so the store reads it from its start whatever `offset` is, and gives the
        last piece only after the digest agreed. Raises `ArtifactMissing` and `CorruptArtifact`.
        """

    async def fetch(self, project: str, sha256: str, path: Path) -> None:
        """Copies a blob to the file `path`, which appears whole and checked or not at all."""

    async def local(self, project: str, sha256: str, folder: Path) -> Path:
        """Gives a checked file that holds the blob, for reading only: the store's own if it has one, else a copy.

        The copy is `folder/{sha256}`; one that is there already and still agrees with its digest is used again.
        """

    async def exists(self, project: str, sha256: str) -> bool:
        """Tells whether a blob is stored."""

    async def delete(self, project: str, sha256: str) -> None:
        """Removes a blob; removing what is not there changes nothing."""

    def list(self, project: str) -> AsyncIterator[Stored]:
        """Lists the blobs of a project, in no promised order."""

    async def put_document(self, project: str, digest: str, document: bytes) -> None:
        """Stores the JSON document of the manifest with this digest, in place of an earlier one."""

    async def read_document(self, project: str, digest: str) -> bytes:
        """Reads a manifest's document as it was stored; `load_manifest` also checks its digest."""

    async def delete_document(self, project: str, digest: str) -> None:
        """Removes a manifest's document; removing what is not there changes nothing."""

    def list_documents(self, project: str) -> AsyncIterator[Stored]:
        """Lists the manifest documents of a project; `sha256` is the manifest's digest."""

    async def put_alias(self, project: str, alias: str, document: bytes) -> None:
        """Stores what an alias names, in place of what it named: the one kind of object here that changes."""

    async def read_alias(self, project: str, alias: str) -> bytes:
        """Reads what an alias names; raises `ArtifactMissing`. `load_alias` also checks it."""


def require_project(project: str) -> str:
    """Gives the project back if it can be one: a lower-case letter, then up to 62 letters, digits or dashes."""
    if not _PROJECT.fullmatch(project):
        raise ArtifactInvalid(
            f"{project[:80]!r} is not a project: use a lower-case letter, then up to 62 lower-case letters, "
            "digits or dashes"
        )
    return project


def require_digest(digest: str) -> str:
    """Gives the digest back if it is 64 lower-case hex digits, the form of SHA-256."""
    if not is_digest(digest):
        raise ArtifactInvalid(f"{digest[:80]!r} is not a digest: it must be 64 lower-case hexadecimal digits")
    return digest


def require_alias(alias: str) -> str:
    """Gives the alias back if it can be one: a lower-case letter, then up to 62 letters, digits or dashes."""
    if not _ALIAS.fullmatch(alias):
        raise ArtifactInvalid(
            f"{alias[:80]!r} is not an alias: use a lower-case letter, then up to 62 lower-case letters, digits or "
            "dashes"
        )
    return alias


def is_project(text: str) -> bool:
    """Tells whether a text could name a project."""
    return _PROJECT.fullmatch(text) is not None


def is_alias(text: str) -> bool:
    """Tells whether a text could be an alias; a digest never is one, for it is longer."""
    return _ALIAS.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Tells whether a text is 64 lower-case hex digits."""
    return _DIGEST.fullmatch(text) is not None
