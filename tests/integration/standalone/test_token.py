"""`cultivar token`: what CULTIVAR_TOKEN takes, of this machine or of a client at the issuer."""

import asyncio
from pathlib import Path
from uuid import uuid4

from cultivar.cli.main import app
from cultivar_service.issuer import Issuer
from cultivar_service.oidc import Oidc
from cultivar_service.settings import Settings
from typer.testing import CliRunner

from tests.issuer import AUDIENCE, RealIssuer


def test_it_is_the_one_in_the_file_where_no_issuer_is_set(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("of this machine\n")
    said = CliRunner().invoke(app, ["token"], env={"CULTIVAR_TOKEN_FILE": str(file)})
    assert (said.exit_code, said.stdout) == (0, "of this machine\n")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["token"], env={"CULTIVAR_TOKEN_FILE": str(tmp_path / "none")})
    assert said.exit_code == 1
    assert f"{tmp_path / 'none'} cannot be read" in said.stderr and "CULTIVAR_TOKEN_FILE" in said.stderr


async def test_it_is_granted_to_the_client_by_the_issuer_where_one_is_set(issuer: RealIssuer) -> None:
    client = f"nightly-{uuid4().hex[:6]}"
    issuer.add_client(client)
    given = {"OIDC_ISSUER": issuer.url, "OIDC_AUDIENCE": AUDIENCE, "OIDC_CLIENT_ID": client}
    env = {f"CULTIVAR_{name}": value for name, value in given.items()}
    secret = {"CULTIVAR_OIDC_CLIENT_SECRET": issuer.secret}
    said = await asyncio.to_thread(CliRunner().invoke, app, ["token"], env={**env, **secret})
    settings = Settings(oidc_issuer=issuer.url, oidc_audience=AUDIENCE)
    assert (await Oidc(settings, Issuer(issuer.url)).authenticate(said.stdout.strip())).name == client
