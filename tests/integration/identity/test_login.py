"""`cultivar login` and `whoami` at a real issuer: who is signed in, and whom nobody signs in."""

import asyncio
import socket
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import grpc
import httpx2
import portpicker
import pytest
from cultivar.client import Client
from cultivar.connection import Connection
from cultivar.identity.v1 import identity_pb2 as pb
from cultivar.issuer import Issuer, IssuerError
from cultivar_identity.__main__ import build as identity

from tests.conftest import Start
from tests.integration.identity.desk import PROGRAM, Desk
from tests.issuer import AUDIENCE, RealIssuer
from tests.processes import Server


async def test_who_signs_in_by_browser_needs_no_token_in_later_commands(desk: Desk) -> None:
    done = await desk.typed("login")
    assert done.exit_code == 0, done.output
    assert f"{desk.name} is signed in at {desk.host.listening.address}" in done.output
    assert desk.visited[0].status_code == 200 and "You are signed in" in desk.visited[0].text
    who = await desk.typed("whoami")
    assert who.output.splitlines()[0] == desk.name
    assert [line.split() for line in who.output.splitlines()[2:]] == [["default", "admin"], ["support", "reviewer"]]
    assert (await desk.typed("role", "list")).exit_code == 0


async def test_the_browser_is_sent_with_pkce_state_and_nonce_and_comes_back_to_a_free_port_of_loopback(
    desk: Desk,
) -> None:
    said = [(await desk.typed("login")).output for _ in range(2)]
    asked = [parse_qs(urlsplit(next(x for x in one.split() if x.startswith("http"))).query) for one in said]
    for one in asked:
        assert (one["response_type"], one["code_challenge_method"]) == (["code"], ["S256"])
        assert one["client_id"] == [desk.client_id] and "openid" in one["scope"][0].split()
        back = urlsplit(one["redirect_uri"][0])
        assert (back.scheme, back.hostname, back.path) == ("http", "127.0.0.1", "/callback") and back.port
    assert not {asked[0][name][0] for name in ("state", "nonce", "code_challenge")} & {
        asked[1][name][0] for name in ("state", "nonce", "code_challenge")
    }


async def test_without_a_browser_the_address_is_printed_and_any_port_may_be_chosen(desk: Desk) -> None:
    port = portpicker.pick_unused_port()
    typed = await asyncio.create_subprocess_exec(
        *(PROGRAM, "login", "--no-browser", "--port", str(port)), stdout=asyncio.subprocess.PIPE
    )
    assert typed.stdout is not None
    async for line in typed.stdout:
        if line.startswith(b"http"):
            assert parse_qs(urlsplit(line.decode().strip()).query)["redirect_uri"] == [
                f"http://127.0.0.1:{port}/callback"
            ]
            desk.browse(line.decode().strip())
            break
    rest = (await typed.stdout.read()).decode()
    assert await typed.wait() == 0 and f"{desk.name} is signed in" in rest


async def test_an_answer_that_nobody_asked_for_changes_nothing_and_the_sign_in_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def guessed(back: str) -> str:
        parts = urlsplit(back)
        for path in ("/callback?code=x&state=guess", "/callback", "/", "/favicon.ico", "/callback?state=%ff&state=%ff"):
            desk.visited.append(httpx2.get(f"http://{parts.netloc}{path}"))
        return back

    monkeypatch.setattr("webbrowser.open", lambda url: desk.browse(url, guessed))
    await desk.login()
    assert [one.status_code for one in desk.visited] == [400, 400, 404, 404, 400, 200]
    for one in desk.visited:
        assert "default-src 'none'" in one.headers["content-security-policy"]


async def test_a_browser_that_never_comes_back_and_a_port_that_is_taken_are_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    monkeypatch.setattr("cultivar.cli.login.WAIT_SECONDS", 0.3)
    told = await desk.typed("login")
    assert told.exit_code == 1 and "no browser came back to http://127.0.0.1:" in told.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = await desk.typed("login", "--port", str(taken.getsockname()[1]))
    assert told.exit_code == 1 and "is taken: choose another --port" in told.stderr


async def test_an_answer_that_refuses_or_is_of_another_issuer_signs_nobody_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for changed, sentence in (
        ({"code": "", "error": "access_denied"}, "signed nobody in (access_denied)"),
        ({"iss": "https://accounts.example"}, "another issuer"),
        ({"iss": ""}, "another issuer"),
        ({"code": "x" * 48}, "refuses (invalid_grant)"),
    ):

        def answered(back: str, changed: dict[str, str] = changed) -> str:
            parts = urlsplit(back)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changed
            return f"{parts.scheme}://{parts.netloc}{parts.path}?{urlencode({k: v for k, v in query.items() if v})}"

        monkeypatch.setattr("webbrowser.open", lambda url, answered=answered: desk.browse(url, answered))
        told = await desk.typed("login")
        assert told.exit_code == 1 and sentence in told.stderr and "nobody was signed in" in told.stderr, changed
        assert not desk.grants.exists()


async def test_a_nonce_or_a_verifier_of_another_sign_in_signs_nobody_in(desk: Desk) -> None:
    back = f"http://127.0.0.1:{portpicker.pick_unused_port()}/callback"
    desk.issuer.allow(desk.client_id, back)
    issuer = Issuer(desk.issuer.url, desk.client_id)
    other = issuer.begin(back, ["openid"])
    for field, sentence in (("nonce", "answered another sign-in"), ("verifier", "refuses")):
        begun = issuer.begin(back, ["openid"])
        led = httpx2.get(begun.url, follow_redirects=False).headers["location"]
        answer = {name: values[0] for name, values in parse_qs(urlsplit(led).query).items()}
        mixed = type(begun)(**{**vars(begun), field: vars(other)[field]})
        with pytest.raises(IssuerError, match=sentence):
            issuer.finish(mixed, answer)


async def test_a_token_that_the_server_does_not_take_is_not_kept(desk: Desk) -> None:
    payroll = f"payroll-{uuid4().hex[:6]}"
    desk.issuer.add_client(payroll, audience="payroll", public=True)
    desk.client_id = desk.host.settings.oidc_cli_client_id = payroll
    told = await desk.typed("login")
    assert told.exit_code == 1 and "for another audience" in told.stderr
    assert not desk.grants.exists()


async def test_where_to_sign_in_is_told_without_a_token_and_nothing_else_is(desk: Desk) -> None:
    with Client(Connection(desk.host.listening.address, "")) as client:
        told = await asyncio.to_thread(client.identity.GetSignIn, pb.GetSignInRequest(parent=client.parent))
        assert (told.issuer, told.client_id) == (desk.issuer.url, desk.client_id)
        for call, request in (
            (client.identity.WhoAmI, pb.WhoAmIRequest(parent=client.parent)),
            (client.identity.ListRoleBindings, pb.ListRoleBindingsRequest(parent=client.parent)),
        ):
            with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
                await asyncio.to_thread(call, request)


async def test_a_server_at_which_nobody_can_sign_in_says_what_to_do(
    desk: Desk, start: Start, issuer: RealIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.host.settings.oidc_cli_client_id = ""
    assert "CULTIVAR_OIDC_CLI_CLIENT_ID" in (await desk.typed("login")).stderr
    local = await start(identity)
    monkeypatch.setenv("CULTIVAR_ADDRESS", local.listening.address)
    assert "no identity provider to sign in at: set CULTIVAR_TOKEN" in (await desk.typed("login")).stderr
    monkeypatch.setenv("CULTIVAR_TOKEN", local.token)
    assert (await desk.typed("whoami")).stdout.split()[:1] == ["local"]


async def test_who_has_no_role_is_told_whom_to_ask(desk: Desk) -> None:
    name = f"bob-{uuid4().hex[:6]}"
    desk.issuer.add_person(name)
    desk.issuer.enter(name)
    await desk.login()
    who = await desk.typed("whoami")
    assert who.stdout == f"{name}\n" and "ask an admin" in who.stderr


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://id.example", "no https"),
        ("ftp://localhost/x", "no https"),
        ("file:///etc/hostname", "no https"),
        ("https://id.example\x1b[2J", "no https"),
        ("https://id.example/\x1b[2J", "no https"),
        ("http://127.0.0.1:9", "does not answer"),
    ],
)
def test_an_issuer_is_asked_over_https_or_on_loopback_alone(url: str, sentence: str) -> None:
    with pytest.raises(IssuerError, match=sentence) as refused:
        Issuer(url, "cli")
    assert "\x1b" not in str(refused.value)


async def test_a_server_of_this_machine_with_an_issuer_is_signed_in_at_like_any_other(
    desk: Desk, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"ISSUER": desk.issuer.url, "AUDIENCE": AUDIENCE, "CLI_CLIENT_ID": desk.client_id}
    for name, value in {**given, "SCOPES": "openid profile email groups"}.items():
        monkeypatch.setenv(f"CULTIVAR_OIDC_{name}", value)
    monkeypatch.delenv("CULTIVAR_ADDRESS")
    monkeypatch.setenv("CULTIVAR_DATA_DIR", str(data_dir))
    monkeypatch.setenv("CULTIVAR_TOKEN", desk.issuer.signed(sub="root"))
    server = Server(data_dir, "--only", "identity")
    await server.start()
    assert (await desk.typed("whoami")).stdout.split() == ["root"]
    monkeypatch.delenv("CULTIVAR_TOKEN")
    assert "cultivar login" in (await desk.typed("whoami")).stderr
    await desk.login()
    assert (await desk.typed("whoami")).stdout.startswith(f"{desk.name}\n")
    await server.stop()
