"""`cultivar migrate`: schemas, roles and what each may do."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from cultivar.cli.main import app
from cultivar_standalone.mounts import BUILDS, SCHEMAS
from typer.testing import CliRunner, Result

SECRET = "it's :a 100 % \\:secret"


@pytest.fixture
def prefix(postgres: str) -> Iterator[str]:
    """The beginning of the names of roles that this test may make; roles are of the whole server."""
    prefix = f"r{uuid4().hex[:8]}_"
    yield prefix
    with psycopg.connect(postgres, autocommit=True) as connection:
        for schema in SCHEMAS:
            connection.execute(f'DROP ROLE IF EXISTS "{prefix}{schema}"')  # type: ignore[arg-type]


@pytest.fixture
def database(database_url: str, prefix: str) -> Iterator[str]:
    """A database whose roles go before it does."""
    yield database_url
    with psycopg.connect(database_url, autocommit=True) as connection:
        for schema in SCHEMAS:
            name = f"{prefix}{schema}"
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
                connection.execute(f'DROP OWNED BY "{name}"')  # type: ignore[arg-type]


def migrate(url: str, *flags: str) -> Result:
    """Runs the command."""
    return CliRunner().invoke(app, ["migrate", "--database-url", url, *flags])


def test_every_service_has_its_schema() -> None:
    assert set(BUILDS) == set(SCHEMAS)


def test_it_makes_schemas_and_roles_and_may_be_repeated(database: str, prefix: str) -> None:
    for _ in range(2):
        ended = migrate(database, "--role-prefix", prefix, "--make-roles")
        assert ended.exit_code == 0, ended.output
        assert f"{len(SCHEMAS)} schemas are at their newest revision, {len(SCHEMAS)} roles let in" in ended.output


def test_a_role_reads_and_writes_its_own_tables_and_does_nothing_else(database: str, prefix: str) -> None:
    assert migrate(database, "--role-prefix", prefix, "--make-roles").exit_code == 0
    url = database.replace("//postgres:", f"//{prefix}review:")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM review.run")
        connection.execute("SELECT * FROM artifacts.manifest")
        for forbidden in (
            "SELECT * FROM filtering.run",
            "DROP TABLE review.run",
            "CREATE TABLE review.mine (id int)",
            "CREATE SCHEMA mine",
            "DELETE FROM artifacts.manifest",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)  # type: ignore[arg-type]


def test_a_role_that_is_not_there_is_not_made_unasked(database: str, prefix: str) -> None:
    ended = migrate(database, "--role-prefix", prefix)
    assert ended.exit_code == 1
    assert f"the role {prefix}campaigns does not exist: make it, or let this command make it" in ended.stderr


def test_passwords_are_those_of_the_folder(database: str, prefix: str, tmp_path: Path) -> None:
    (tmp_path / "review").write_text(f"{SECRET}\n")
    ended = migrate(database, "--role-prefix", prefix, "--make-roles", "--passwords", str(tmp_path))
    assert ended.exit_code == 0, ended.output
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT rolname, rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL AND rolname LIKE %s",
            [f"{prefix}%"],
        ).fetchall()
    assert [name for name, _ in rows] == [f"{prefix}review"]
    assert opens(SECRET, rows[0][1])


def opens(password: str, kept: str) -> bool:
    """Tells whether a password is the one of which PostgreSQL keeps this verifier (RFC 5803)."""
    _, iterations_salt, keys = kept.split("$")
    iterations, salt = iterations_salt.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return base64.b64decode(keys.split(":")[0]) == hashlib.sha256(client_key).digest()


def test_a_role_that_owns_nothing_is_told_which_one_to_give(database: str, prefix: str) -> None:
    assert migrate(database, "--role-prefix", prefix, "--make-roles").exit_code == 0
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP SCHEMA review CASCADE")
    ended = migrate(database.replace("//postgres:", f"//{prefix}review:"))
    assert ended.exit_code == 1
    assert "give the URL of a role that owns the database" in ended.stderr


def test_a_database_that_does_not_answer_is_said_in_one_sentence() -> None:
    ended = migrate("postgresql://postgres@127.0.0.1:9/none")
    assert ended.exit_code == 1
    assert "the database does not answer" in ended.stderr
