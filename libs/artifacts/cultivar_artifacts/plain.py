"""Plain files under a prefix of an S3 store, which nobody named by a digest: weights that a user put there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cultivar_artifacts.atomic import replace_file
from cultivar_artifacts.errors import ArtifactInvalid, ArtifactMissing, CorruptArtifact
from cultivar_artifacts.s3 import S3Settings, S3Store
from cultivar_artifacts.store import CHUNK


@dataclass(frozen=True, slots=True)
class PlainFile:
    """A file right under the prefix: its name, its size in bytes, and what the store calls this content (ETag)."""

    name: str
    size: int
    version: str


class PlainFiles:
    """Reads the files right under `s3://bucket/prefix`; every call blocks. Raises what `S3Store` raises."""

    def __init__(self, url: str, settings: S3Settings) -> None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or not parts.path.strip("/"):
            raise ArtifactInvalid(f"{url!r} is not the address of files in S3: use s3://bucket/prefix")
        self._store = S3Store(parts.netloc, parts.path, settings)
        self._url = url

    def list(self, wanted: Callable[[str], bool]) -> list[PlainFile]:
        """Lists the wanted files by name; raises `ArtifactMissing` where nothing at all lies under the prefix."""
        found = list(self._store.plain_objects())
        if not found:
            raise ArtifactMissing(f"nothing lies under {self._url}: correct the bucket or the prefix")
        return [PlainFile(*about) for about in sorted(found) if "/" not in about[0] and wanted(about[0])]

    def fetch(self, file: PlainFile, folder: Path) -> Path:
        """Copies a file into a folder, whole or not at all; raises `CorruptArtifact` if it has another size by then."""
        path = folder / file.name
        replace_file(path, self._store.plain_pieces(file.name, CHUNK), folder)
        if path.stat().st_size != file.size:
            path.unlink()
            raise CorruptArtifact(f"{file.name} of {self._url} changed while it was read: try again")
        return path
