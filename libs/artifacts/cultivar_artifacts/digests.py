"""Digests: SHA-256 of bytes while they pass, and of JSON in its canonical form (RFC 8785)."""

import hashlib
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import rfc8785

from cultivar_artifacts.errors import ArtifactInvalid, CorruptArtifact
from cultivar_artifacts.store import CHUNK, Blob

_EXACT = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER | orjson.OPT_PASSTHROUGH_DATETIME


def canonical(value: Any) -> bytes:
    """Writes a JSON value in the one form of RFC 8785.

    Raises `ArtifactInvalid` for what JSON cannot hold exactly: bytes, dates, NaN, integers beyond 2**53 - 1.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise ArtifactInvalid(
            f"a value has no canonical JSON form ({type(error).__name__}): use text, booleans, finite numbers, "
            "integers up to 2**53 - 1, lists, and objects with text keys"
        ) from error


def canonical_without_floats(value: Any) -> bytes:
    """Does what `canonical` does, ten times as fast, for a value that holds no floating-point number."""
    try:
        # Sorted by code points, where RFC 8785 sorts by UTF-16: one order for all names below U+E000.
        return orjson.dumps(value, option=_EXACT)
    except (TypeError, RecursionError):
        return canonical(value)


def json_digest(value: Any) -> str:
    """Gives the SHA-256 (64 hex digits) of a JSON value's canonical form."""
    return hashlib.sha256(canonical(value)).hexdigest()


def open_source(source: bytes | Path) -> AbstractContextManager[BinaryIO]:
    """Opens bytes or a file for reading."""
    return BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def measure(source: bytes | Path) -> Blob:
    """Gives the digest and size of bytes or of a file, reading it in pieces."""
    sha256, size = hashlib.sha256(), 0
    with open_source(source) as content:
        while piece := content.read(CHUNK):
            sha256.update(piece)
            size += len(piece)
    return Blob(sha256.hexdigest(), size)


def checked(pieces: Iterator[bytes], sha256: str, offset: int = 0) -> Generator[bytes, None, None]:
    """Passes pieces of a blob on from `offset` (bytes), the last one only when the digest of all agrees.

    Raises `CorruptArtifact` otherwise, so that nobody ever holds the whole of a damaged blob.
    """
    hasher, position, held = hashlib.sha256(), 0, b""
    for piece in pieces:
        hasher.update(piece)
        if held:
            yield held
        held = piece[max(0, offset - position) :]
        position += len(piece)
    if hasher.hexdigest() != sha256:
        raise CorruptArtifact(
            f"blob {sha256}: the {position} stored bytes have another digest; restore it from a backup, or delete it "
            "and run again what made it"
        )
    if held:
        yield held


class CheckedReader:
    """Reads exactly the bytes of a measured source, and fails before the last one if they have changed since."""

    def __init__(self, raw: BinaryIO, blob: Blob) -> None:
        self.blob = blob
        self._raw = raw
        self._hasher = hashlib.sha256()
        self._position = 0

    def read(self, count: int = -1) -> bytes:
        """Reads up to `count` bytes (all with -1); raises `CorruptArtifact` when the source has changed."""
        left = self.blob.size - self._position
        piece = self._raw.read(left if count < 0 else min(count, left))
        self._hasher.update(piece)
        self._position += len(piece)
        if (not piece or self._position == self.blob.size) and self._hasher.hexdigest() != self.blob.sha256:
            raise CorruptArtifact(
                f"the source of blob {self.blob.sha256} changed while it was being stored; nothing was kept: "
                "store it again once nobody writes to it"
            )
        return piece

    def pieces(self) -> Iterator[bytes]:
        """Reads the source in pieces of `CHUNK` bytes."""
        return iter(lambda: self.read(CHUNK), b"")
