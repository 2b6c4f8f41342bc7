"""A service alone: it starts where everything is there, and says in one sentence what is missing."""

import asyncio
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import psycopg
import pytest
from cultivar_artifacts import S3Settings
from cultivar_service.principal import local_token

from tests.pieces.conftest import environment
from tests.pieces.pieces import Replica, make_certificates
from tests.s3_servers import free_port

SERVICE = "filtering"


@pytest.fixture
def given(migrated: str, s3: S3Settings, tmp_path: Path) -> dict[str, str]:
    """What the filtering service needs to start."""
    local_token(tmp_path / "token")
    make_certificates(tmp_path)
    return {
        **environment(s3),
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "CULTIVAR_PORT": "0",
        "CULTIVAR_METRICS_PORT": "0",
        "CULTIVAR_DATABASE_URL": as_role(migrated, SERVICE),
        "CULTIVAR_TOKEN_FILE": str(tmp_path / "token"),
        "CULTIVAR_TLS_CERTIFICATE": str(tmp_path / "certificate.pem"),
        "CULTIVAR_TLS_KEY": str(tmp_path / "key.pem"),
        "CULTIVAR_TLS_CA": str(tmp_path / "ca.pem"),
    }


def as_role(url: str, service: str) -> str:
    """The address of a database for the role of a service."""
    return url.replace("//postgres:", f"//cultivar_{service}:")


def refused(environment: dict[str, str]) -> str:
    """Starts the service, which is to end by itself with status 1, and returns what it said last."""
    ended = subprocess.run(
        [sys.executable, "-m", f"cultivar_{SERVICE}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr.strip().splitlines()[-1]


def test_the_role_of_another_service_is_refused(given: dict[str, str], migrated: str) -> None:
    said = refused({**given, "CULTIVAR_DATABASE_URL": as_role(migrated, "review")})
    assert "the role cultivar_review may not use the schema filtering" in said
    assert "CULTIVAR_DATABASE_URL" in said


def test_a_role_that_does_not_exist_is_named(given: dict[str, str], migrated: str) -> None:
    said = refused({**given, "CULTIVAR_DATABASE_URL": as_role(migrated, "nobody")})
    assert 'role "cultivar_nobody" does not exist' in said
    assert "check user and password in CULTIVAR_DATABASE_URL" in said


def test_a_database_that_was_never_migrated_asks_for_it(given: dict[str, str], database_url: str) -> None:
    said = refused({**given, "CULTIVAR_DATABASE_URL": database_url})
    assert "the schema artifacts does not exist" in said
    assert "run `cultivar migrate`" in said


def test_an_older_schema_is_named_with_what_to_do(given: dict[str, str], migrated: str) -> None:
    with psycopg.connect(migrated, autocommit=True) as connection:
        (newest,) = connection.execute("DELETE FROM filtering.shared_revision RETURNING version_num").fetchone() or (
            "",
        )
        try:
            said = refused(given)
        finally:
            connection.execute("INSERT INTO filtering.shared_revision VALUES (%s)", [newest])
    assert f"the schema filtering is at revision none of shared_revision, and this program needs {newest}" in said


def test_a_store_without_the_bucket_is_named(given: dict[str, str]) -> None:
    said = refused({**given, "CULTIVAR_ARTIFACTS": "s3://nowhere/trial"})
    assert "bucket 'nowhere' does not exist" in said
    assert "create it" in said


@pytest.mark.parametrize("setting", ["CULTIVAR_TLS_CERTIFICATE", "CULTIVAR_TLS_KEY"])
def test_a_certificate_that_is_not_there_is_named(given: dict[str, str], setting: str) -> None:
    assert "/nowhere.pem cannot be read" in refused({**given, setting: "/nowhere.pem"})


async def test_a_service_runs_on_a_schema_that_is_newer_than_it(
    given: dict[str, str], migrated: str, tmp_path: Path
) -> None:
    with psycopg.connect(migrated, autocommit=True) as connection:
        (newest,) = connection.execute("SELECT version_num FROM filtering.shared_revision").fetchone() or ("",)
        connection.execute("UPDATE filtering.shared_revision SET version_num = '0009'")
        try:
            service = Replica(SERVICE, tmp_path / "own", given)
            await service.start()
            await service.until_ready((tmp_path / "ca.pem").read_bytes())
            assert await service.stop() == 0
        finally:
            connection.execute("UPDATE filtering.shared_revision SET version_num = %s", [newest])


async def test_a_certificate_that_was_renewed_is_served_without_a_restart(
    given: dict[str, str], tmp_path: Path
) -> None:
    service = Replica(SERVICE, tmp_path / "own", given)
    await service.start()
    first = (tmp_path / "ca.pem").read_bytes()
    await service.until_ready(first)
    second = make_certificates(tmp_path)
    assert await service.serves(second)
    assert not await service.serves(first)
    assert await service.stop() == 0


async def test_the_console_alone_needs_its_sessions_and_no_store(
    given: dict[str, str], migrated: str, tmp_path: Path
) -> None:
    own = {name: value for name, value in given.items() if "S3" not in name}
    own["CULTIVAR_DATABASE_URL"] = as_role(migrated, "console")
    port = free_port()
    console = Replica("console", tmp_path / "own", {**own, "CULTIVAR_CONSOLE_PORT": str(port)})
    await console.start()
    await console.until_ready((tmp_path / "ca.pem").read_bytes())
    page = await asyncio.to_thread(urlopen, f"http://127.0.0.1:{port}/healthz")
    assert page.status == 200
    assert await console.stop() == 0
