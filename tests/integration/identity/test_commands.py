"""`cultivar role` and `cultivar invitation`, as an admin types them."""

import asyncio
import os

import grpc
import pytest
from cultivar.client import Client
from cultivar.connection import Connection
from cultivar.identity.v1 import identity_pb2 as pb
from cultivar_identity.__main__ import build as identity

from tests.conftest import Start
from tests.issuer import AUDIENCE, RealIssuer
from tests.terminal import Terminal

CONSOLE = "https://cultivar.example"


@pytest.fixture(params=[CONSOLE])
async def typed(start: Start, issuer: RealIssuer, terminal: Terminal, request: pytest.FixtureRequest) -> Terminal:
    """Types a command as the principal root, who is admin."""
    given = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, "oidc_admins": "root"}
    host = await start(identity, console_url=request.param, **given)
    terminal.at(host, issuer.signed(sub="root"))
    return terminal


def accept(link: str, token: str) -> pb.RoleBinding:
    """Accepts an invitation as its page does."""
    name, _, secret = link.removeprefix(CONSOLE).removeprefix("/").partition("?secret=")
    with Client(Connection(os.environ["CULTIVAR_ADDRESS"], token)) as client:
        bound: pb.RoleBinding = client.identity.AcceptInvitation(pb.AcceptInvitationRequest(name=name, secret=secret))
    return bound


async def test_a_role_is_granted_listed_and_revoked(typed: Terminal) -> None:
    assert (await typed("role", "grant", "ada", "reviewer")).output == "ada is reviewer of default now\n"
    again = await typed("role", "grant", "ada", "reviewer")
    assert again.exit_code == 1 and "ada" in again.output
    assert "ada" in (listed := (await typed("role", "list")).output) and "reviewer" in listed and "an admin" in listed
    assert "ada" not in (await typed("role", "list", "--project", "other")).output
    assert (await typed("role", "revoke", "ada", "reviewer")).exit_code == 0
    assert "ada" not in (await typed("role", "list")).output
    gone = await typed("role", "revoke", "ada", "reviewer")
    assert gone.exit_code == 1 and "`cultivar role list` shows" in gone.output


async def test_a_name_that_looks_like_markup_is_shown_as_it_is(typed: Terminal, issuer: RealIssuer) -> None:
    for name in ("[bold]ada[/]", "[/x]", "[link=https://evil.example]root[/link]"):
        assert (await typed("role", "grant", name, "viewer")).exit_code == 0
        assert name in (await typed("role", "list")).output
    link = (await typed("invitation", "create")).stdout.strip()
    await asyncio.to_thread(accept, link, issuer.signed(sub="[/y]"))
    assert "[/y]" in (await typed("invitation", "list")).output


async def test_every_binding_is_found_on_whichever_page(typed: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cultivar.cli.role.PAGE", 2)
    for name in ("ada", "bob", "eve", "joe", "kim"):
        await typed("role", "grant", name, "viewer")
    assert (await typed("role", "list")).output.count("viewer") == 5
    assert (await typed("role", "revoke", "ada", "viewer")).exit_code == 0


async def test_a_word_that_is_no_role_is_refused_with_those_that_are(typed: Terminal) -> None:
    refused = await typed("role", "grant", "ada", "owner")
    assert refused.exit_code == 2 and "adjudicator" in refused.output


async def test_an_invitation_prints_its_link_once_and_who_accepted_it_is_listed(
    typed: Terminal, issuer: RealIssuer
) -> None:
    made = await typed("invitation", "create", "--hours", "1")
    link = made.stdout.strip()
    assert link.startswith(f"{CONSOLE}/projects/default/invitations/") and "not shown again" in made.stderr
    bound = await asyncio.to_thread(accept, link, issuer.signed(sub="ada"))
    assert bound.principal == "ada"
    listed = (await typed("invitation", "list")).output
    assert "ada" in listed and link.rpartition("=")[2] not in listed
    assert "invitation" in (await typed("role", "list")).output


async def test_a_deleted_invitation_opens_nothing(typed: Terminal, issuer: RealIssuer) -> None:
    link = (await typed("invitation", "create")).stdout.strip()
    name = link.partition("?")[0].rpartition("/")[2]
    assert "opens nothing" in (await typed("invitation", "delete", name)).output
    with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
        await asyncio.to_thread(accept, link, issuer.signed(sub="ada"))
    assert (await typed("invitation", "delete", name)).exit_code == 1


@pytest.mark.parametrize("typed", [""], indirect=True)
async def test_where_the_console_is_unknown_the_link_is_its_path_and_this_is_said(
    typed: Terminal, issuer: RealIssuer
) -> None:
    made = await typed("invitation", "create")
    assert made.stdout.startswith("/projects/default/invitations/") and "console's address before it" in made.stderr
    assert (await asyncio.to_thread(accept, made.stdout.strip(), issuer.signed(sub="ada"))).principal == "ada"
