"""From a store's address to the store."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from cultivar_artifacts.errors import ArtifactInvalid
from cultivar_artifacts.files import FileStore
from cultivar_artifacts.s3 import S3Settings, S3Store
from cultivar_artifacts.store import ArtifactStore


def open_store(url: str | Path, s3: S3Settings | None = None) -> ArtifactStore:
    """Opens the store at `file:///folder`, at a plain path, or at `s3://bucket/prefix` with its settings.

    A folder is made if need be; a bucket is not, and is looked for at the first call. Raises `ArtifactInvalid`.
    """
    if isinstance(url, Path) or "://" not in url:
        return FileStore(Path(url))
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return FileStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        if s3 is None:
            raise ArtifactInvalid("an s3:// store needs its endpoint and keys: give the S3 settings too")
        return S3Store(parts.netloc, parts.path, s3)
    raise ArtifactInvalid(f"{url!r} is not the address of a store: use file:///folder, a path, or s3://bucket/prefix")
