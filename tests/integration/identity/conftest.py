"""An engineer at a terminal who may sign in."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from cultivar_identity.__main__ import build as identity

from tests.conftest import Start
from tests.integration.identity.desk import Desk
from tests.issuer import AUDIENCE, RealIssuer
from tests.terminal import Terminal


@pytest.fixture
async def desk(
    start: Start, issuer: RealIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: Terminal
) -> AsyncIterator[Desk]:
    """A server of identity with an issuer, and an engineer at a terminal."""
    client, name = f"cli-{uuid4().hex[:6]}", f"ada-{uuid4().hex[:6]}"
    scopes = "openid profile email groups"
    given = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, "oidc_scopes": scopes}
    host = await start(identity, oidc_cli_client_id=client, **given)
    issuer.add_client(client, public=True)
    issuer.add_person(name, "cultivar:default:admin", "cultivar:support:reviewer")
    issuer.enter(name)
    terminal.at(host)
    monkeypatch.delenv("CULTIVAR_TOKEN")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    made = Desk(issuer, host, client, name, tmp_path / "config", [], terminal)
    monkeypatch.setattr("webbrowser.open", made.browse)
    yield made
    issuer.leave()
