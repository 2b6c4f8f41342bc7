"""What tests share: a real PostgreSQL, a host that serves some services, a client, a fake teacher."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import hypothesis
import psycopg
import pytest
from cultivar_models.fake import FakeTeacher
from cultivar_service.logs import configure_logs
from cultivar_service.parts import Build
from cultivar_service.serving import Host
from cultivar_service.settings import Settings
from cultivar_standalone.postgres import start_postgres

from tests.terminal import Terminal

if TYPE_CHECKING:
    from tests.issuer import RealIssuer

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("cultivar", deadline=None)
hypothesis.settings.load_profile("cultivar")
SKIPS = Path(__file__).parent / "skips.txt"
configure_logs("console")
Start = Callable[..., Awaitable[Host]]
_unlisted: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Notes a skipped test whose reason tests/skips.txt does not list."""
    if report.skipped and isinstance(report.longrepr, tuple):
        allowed = [line for line in SKIPS.read_text().splitlines() if line and not line.startswith("#")]
        if not any(reason in report.longrepr[2] for reason in allowed):
            _unlisted.append(f"{report.nodeid}: {report.longrepr[2]}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fails a run of CI that skipped what it must not skip."""
    if _unlisted and os.environ.get("CI"):
        print("\nskipped, and not listed in tests/skips.txt:", *_unlisted, sep="\n  ")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of this test process, by its address; in memory where there is such a folder.

    Each test has a database of its own, and to make one waits for the disk longer than most tests take.
    """
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="cultivar-test-", dir=memory if os.access(memory, os.W_OK) else None))
    server = start_postgres(folder / "postgres")
    yield server.url
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database_url(postgres: str) -> Iterator[str]:
    """An empty database of this test alone."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    yield postgres.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder for `cultivar up`.

    Not in `tmp_path`: the embedded database runs as a user of its own where the tests run as root, and each pytest that
    starts closes the folder above `tmp_path` to other users.
    """
    folder = Path(tempfile.mkdtemp(prefix="cultivar-data-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a host on free ports, with its own database and folder, and leases that lapse soon."""
    (tmp_path / "artifacts").mkdir()
    return Settings(
        database_url=database_url,
        artifacts=str(tmp_path / "artifacts"),
        token_file=tmp_path / "token",
        port=0,
        metrics_port=0,
        console_port=0,
        lease_seconds=2.0,
        drain_seconds=1.0,
        migrate=True,
    )


@pytest.fixture
async def start(settings: Settings) -> AsyncIterator[Start]:
    """Starts hosts that serve the given services, and stops them at the end."""
    async with AsyncExitStack() as stack:

        async def start(*builds: Build, **changed: object) -> Host:
            host = Host(settings.model_copy(update=changed))
            await host.start(builds)
            stack.push_async_callback(host.stop)
            return host

        yield start
        await asyncio.sleep(0)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Somebody who types commands of the program."""
    return Terminal(monkeypatch)


@pytest.fixture
async def teacher() -> AsyncIterator[FakeTeacher]:
    """A fake teacher: a real server of the OpenAI protocol."""
    async with FakeTeacher() as fake:
        yield fake


@pytest.fixture(scope="session")
def issuer() -> Iterator["RealIssuer"]:
    """A real OIDC issuer, which is imported by the tests that ask for it alone."""
    from tests.issuer import real_issuer

    with real_issuer() as served:
        yield served
