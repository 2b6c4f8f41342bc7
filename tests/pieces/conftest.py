"""The processes, the database with its roles, the S3 server, the issuer and the teacher that the tests share."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from cultivar_artifacts import ArtifactStore, S3Settings, open_store
from cultivar_models.fake import FakeTeacher
from cultivar_standalone.migrating import Migration
from minio import Minio

from tests.issuer import RealIssuer
from tests.pieces.pieces import Pieces
from tests.s3_servers import s3_server

LONG = bool(os.environ.get("LONG"))
SEEDS = range(10) if LONG else range(1)


@dataclass
class Cluster:
    """What runs for the tests of a module."""

    pieces: Pieces
    teacher: FakeTeacher
    store: ArtifactStore
    issuer: RealIssuer
    database_url: str


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Settings]:
    """An S3 server with a bucket."""
    with s3_server("minio", tmp_path_factory.mktemp("minio")) as settings:
        client = Minio(settings.endpoint, access_key=settings.access_key, secret_key=settings.secret_key, secure=False)
        client.make_bucket("cultivar")
        yield settings


@pytest.fixture(scope="session")
def migrated(postgres: str) -> str:
    """A database with the schema and the role of each service."""
    name = f"pieces_{uuid4().hex[:8]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    url = postgres.replace("/postgres?", f"/{name}?")
    asyncio.run(Migration(url, "cultivar_", True, None).run(lambda said: None))
    return url


def environment(s3: S3Settings) -> dict[str, str]:
    """How processes reach the S3 server."""
    return {
        "CULTIVAR_ARTIFACTS": "s3://cultivar/trial",
        "CULTIVAR_S3_ENDPOINT": s3.endpoint,
        "CULTIVAR_S3_ACCESS_KEY": s3.access_key,
        "CULTIVAR_S3_SECRET_KEY": s3.secret_key,
        "CULTIVAR_S3_TLS": "false",
    }


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(
    migrated: str, s3: S3Settings, issuer: RealIssuer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Cluster]:
    """Two replicas of every service, started once for all tests."""
    folder: Path = tmp_path_factory.mktemp("pieces")
    async with FakeTeacher() as teacher:
        given = {**environment(s3), "CULTIVAR_TEACHERS_URL": teacher.url}
        pieces = Pieces(folder, given, migrated, issuer)
        try:
            await pieces.start()
            yield Cluster(pieces, teacher, open_store("s3://cultivar/trial", s3), issuer, migrated)
        finally:
            assert await pieces.stop() == [0] * len(pieces.replicas)
