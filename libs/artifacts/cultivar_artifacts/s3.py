"""The artifact store in a bucket of any S3-compatible store, through the `minio` client."""

import asyncio
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import BinaryIO, cast
from uuid import uuid4

from minio import Minio
from minio.commonconfig import REPLACE, CopySource
from minio.datatypes import Object
from minio.error import InvalidResponseError, MinioException, S3Error
from minio.helpers import MAX_MULTIPART_COUNT, check_bucket_name
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

from cultivar_artifacts.checked import CheckedStore
from cultivar_artifacts.digests import CheckedReader
from cultivar_artifacts.errors import ArtifactInvalid, ArtifactMissing, BucketMissing, StoreFull, StoreUnavailable

PART_BYTES = 16 << 20
"""Bytes in one part of a large upload, until 10,000 parts are not enough."""

CLOCK_STEP = timedelta(seconds=1)
"""The step in which S3 tells when an object was put."""

_MISSING = {"NoSuchKey", "NoSuchVersion"}
_FULL = {"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "QuotaExceeded"}
_CUT = (ProtocolError, ReadTimeoutError)


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Says where an S3 store is (`host:port`, no scheme) and how to sign in; times are in seconds."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    tls: bool = True
    retries: int = 3
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 60.0


class S3Store(CheckedStore):
    """Keeps each object under `{prefix}/{project}/blobs/{sha256}`, so that storing it again is the same object.

    Calls are retried with a growing pause; a read that is cut goes on where it was. Needs the rights to get, put,
    delete and list; uses no conditional write, no version and no lock, which S3 stores differ in.
    """

    def __init__(self, bucket: str, prefix: str, settings: S3Settings) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._settings = settings
        self._bucket_seen = False
        self._pool = _pool(settings)
        try:
            check_bucket_name(bucket, strict=True, s3_check=True)
            self._client = Minio(
                settings.endpoint,
                access_key=settings.access_key,
                secret_key=settings.secret_key,
                region=settings.region,
                secure=settings.tls,
                http_client=self._pool,
            )
        except ValueError as error:
            raise ArtifactInvalid(
                f"the S3 store cannot be addressed: {error}; use s3://bucket/prefix, and host:port as the endpoint"
            ) from error

    async def honours_conditions(self) -> bool:
        """Tells whether the server refuses to write over an object when asked to (If-None-Match), which we never do.

        Leaves nothing behind. Raises `StoreUnavailable` and `BucketMissing`.
        """
        return await asyncio.to_thread(self._probe_conditions)

    def _probe_conditions(self) -> bool:
        key = f"{self._prefix}probe-{uuid4().hex}"
        with self._reported("a probe"):
            url = self._client.presigned_put_object(self._bucket, key)
            try:
                asked = {"If-None-Match": "*"}
                first, second = (self._pool.request("PUT", url, body=b"probe", headers=asked).status for _ in range(2))
            finally:
                self._client.remove_object(self._bucket, key)
        return first < 300 and second == HTTPStatus.PRECONDITION_FAILED

    def _write(self, key: str, content: CheckedReader) -> None:
        size = content.blob.size
        with self._reported(key):
            # One part at a time: the client's own upload threads outlive an upload whose source fails.
            self._client.put_object(
                self._bucket,
                self._prefix + key,
                cast(BinaryIO, content),
                size,
                part_size=max(PART_BYTES, -(-size // MAX_MULTIPART_COUNT)),
                num_parallel_uploads=1,
            )

    def _pieces(self, key: str, chunk: int) -> Generator[bytes, None, None]:
        position, left = 0, self._settings.retries
        with self._reported(key):
            while True:
                try:
                    for piece in self._body(key, position, chunk):
                        position, left = position + len(piece), self._settings.retries
                        yield piece
                    return
                except _CUT:
                    left -= 1
                    if left < 0:
                        raise

    def _body(self, key: str, offset: int, chunk: int) -> Iterator[bytes]:
        response = self._client.get_object(self._bucket, self._prefix + key, offset=offset)
        try:
            yield from response.stream(chunk)
        finally:
            response.close()
            response.release_conn()

    def _size(self, key: str) -> int | None:
        found = self._stat(key)
        return None if found is None else found.size

    def _stat(self, key: str) -> Object | None:
        with self._reported(key):
            try:
                return self._client.stat_object(self._bucket, self._prefix + key)
            except S3Error as error:
                if error.code not in _MISSING:
                    raise
                self._require_bucket()
                return None

    def _refresh(self, key: str, size: int) -> bool:
        before = self._stat(key)
        if before is None or before.size != size:
            return False
        source = CopySource(self._bucket, self._prefix + key)
        try:
            with self._reported(key):
                # A copy onto itself is how S3 makes an object young; it must replace the metadata to be allowed.
                self._client.copy_object(self._bucket, self._prefix + key, source, metadata_directive=REPLACE)
        except ArtifactMissing:
            return False
        # Some servers take the copy and leave the time as it was: to them the object is sent again.
        after = self._stat(key)
        return after is not None and (_modified(after) > _modified(before) or _age(after) <= CLOCK_STEP)

    def _remove(self, key: str) -> None:
        with self._reported(key):
            self._client.remove_object(self._bucket, self._prefix + key)

    def _scan(self, prefix: str) -> Generator[tuple[str, int, datetime], None, None]:
        with self._reported(prefix):
            for found in self._client.list_objects(self._bucket, self._prefix + prefix, recursive=True):
                name = (found.object_name or "").rpartition("/")[2]
                yield name, found.size or 0, found.last_modified or datetime.now(UTC)

    def plain_objects(self) -> Iterator[tuple[str, int, str]]:
        """Lists all objects under the store's own prefix: name after it, size in bytes, ETag; blocks."""
        with self._reported(self._prefix):
            for found in self._client.list_objects(self._bucket, self._prefix, recursive=True):
                yield (found.object_name or "").removeprefix(self._prefix), found.size or 0, found.etag or ""

    def plain_pieces(self, name: str, chunk: int) -> Iterator[bytes]:
        """Reads an object by its name after the store's prefix, in pieces of at most `chunk` bytes; blocks."""
        return self._pieces(name, chunk)

    def _require_bucket(self) -> None:
        """Tells a missing bucket from a missing object, which a HEAD request answers alike."""
        if not self._bucket_seen:
            self._bucket_seen = self._client.bucket_exists(self._bucket)
        if not self._bucket_seen:
            raise self._bucket_missing()

    def _bucket_missing(self) -> BucketMissing:
        return BucketMissing(
            f"bucket {self._bucket!r} does not exist at {self._settings.endpoint}: create it, or correct the store's "
            "address"
        )

    @contextmanager
    def _reported(self, key: str) -> Iterator[None]:
        """Turns what the client says into this package's errors; the client's own words may hold a whole page."""
        where = f"the S3 store at {self._settings.endpoint}"
        try:
            yield
        except S3Error as error:
            if error.code in _MISSING:
                raise ArtifactMissing(f"{key} is not stored in bucket {self._bucket!r} of {where}") from error
            if error.code == "NoSuchBucket":
                raise self._bucket_missing() from error
            if error.code in _FULL:
                raise StoreFull(f"{where} has no room left ({error.code}); nothing was stored: enlarge it") from error
            raise StoreUnavailable(
                f"{where} refused {key} in bucket {self._bucket!r} ({error.code}): check its keys, its region and the "
                "rights of this user"
            ) from error
        except (MinioException, HTTPError) as error:
            status = f" {error._code}" if isinstance(error, InvalidResponseError) else ""
            raise StoreUnavailable(
                f"{where} does not answer as one ({type(error).__name__}{status}): check that it runs, that its "
                "address is right, and whether it speaks TLS"
            ) from error


def _modified(found: Object) -> datetime:
    return found.last_modified or datetime.min.replace(tzinfo=UTC)


def _age(found: Object) -> timedelta:
    """Tells how long ago an object was put, by the server's own clock."""
    now = parsedate_to_datetime(found.metadata["Date"]) if found.metadata else datetime.now(UTC)
    return now - _modified(found)


def _pool(settings: S3Settings) -> PoolManager:
    retry = Retry(total=settings.retries, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504])
    timeout = Timeout(connect=settings.connect_timeout_s, read=settings.read_timeout_s)
    return PoolManager(maxsize=16, timeout=timeout, retries=retry)
