"""`cultivar login`, `logout` and `whoami` at a real issuer, and the client that then needs no token."""

import asyncio
import errno
import json
import os
import socket
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import grpc
import httpx2
import portpicker
import pytest
from cultivar.cli.main import app
from cultivar.client import Client
from cultivar.connection import Connection
from cultivar.errors import NotConnected
from cultivar.identity.v1 import identity_pb2 as pb
from cultivar.issuer import Issuer, IssuerError
from cultivar_identity.__main__ import build as identity
from cultivar_service.serving import Host
from typer.testing import CliRunner, Result

from tests.conftest import Start
from tests.issuer import AUDIENCE, RealIssuer
from tests.processes import Server

PROGRAM = str(Path(sys.executable).with_name("cultivar"))
Answered = Callable[[str], str]


@dataclass
class Desk:
    """Somebody at a terminal, with a browser that has signed in at the issuer before."""

    issuer: RealIssuer
    host: Host
    client_id: str
    name: str
    config: Path
    visited: list[httpx2.Response]

    @property
    def grants(self) -> Path:
        """The file of what was granted."""
        return self.config / "cultivar" / "grants.json"

    def grant(self) -> dict[str, Any]:
        """What the file holds for the server."""
        kept: dict[str, dict[str, Any]] = json.loads(self.grants.read_text())
        return kept[self.host.listening.address]

    def change(self, **changed: object) -> None:
        """Changes what the file holds for the server."""
        kept = {self.host.listening.address: {**self.grant(), **changed}}
        self.grants.write_text(json.dumps(kept))

    async def typed(self, *words: str) -> Result:
        """Types a command."""
        return await asyncio.to_thread(CliRunner().invoke, app, [*words])

    async def login(self, *words: str) -> None:
        """Signs in, and fails the test where that fails."""
        done = await self.typed("login", *words)
        assert done.exit_code == 0, done.output

    def browse(self, url: str, answered: Answered = lambda back: back) -> bool:
        """Goes where a browser is sent, in a thread of its own; `answered` may change where the issuer leads back."""

        def going() -> None:
            query = parse_qs(urlsplit(url).query)
            self.issuer.allow(self.client_id, query["redirect_uri"][0])
            back = httpx2.get(url, follow_redirects=False).headers["location"]
            self.visited.append(httpx2.get(answered(back)))

        threading.Thread(target=going).start()
        return True


@pytest.fixture
async def desk(
    start: Start, issuer: RealIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    """A server of identity with an issuer, and an engineer at a terminal."""
    client, name = f"cli-{uuid4().hex[:6]}", f"ada-{uuid4().hex[:6]}"
    scopes = "openid profile email groups"
    given = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, "oidc_scopes": scopes}
    host = await start(identity, oidc_cli_client_id=client, **given)
    issuer.add_client(client, public=True)
    issuer.add_person(name, "cultivar:default:admin", "cultivar:support:reviewer")
    issuer.enter(name)
    monkeypatch.setenv("CULTIVAR_ADDRESS", host.listening.address)
    monkeypatch.delenv("CULTIVAR_TOKEN", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    made = Desk(issuer, host, client, name, tmp_path / "config", [])
    monkeypatch.setattr("webbrowser.open", made.browse)
    yield made
    issuer.leave()


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


async def test_what_was_granted_lies_in_a_file_that_nobody_else_may_read(desk: Desk) -> None:
    before = os.umask(0)
    try:
        await desk.login()
    finally:
        os.umask(before)
    assert stat.S_IMODE(desk.grants.stat().st_mode) == 0o600
    assert stat.S_IMODE(desk.grants.parent.stat().st_mode) == 0o700
    assert [path.name for path in desk.grants.parent.iterdir() if path.name.startswith(".")] == []
    assert desk.grant()["refresh_token"]


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


async def test_the_token_of_the_environment_goes_before_who_signed_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.login()
    monkeypatch.setenv("CULTIVAR_TOKEN", desk.issuer.signed(sub="root"))
    assert (await desk.typed("whoami")).stdout == "root\n"
    again = await desk.typed("login")
    assert "CULTIVAR_TOKEN is set, and goes before it" in again.stderr
    assert desk.name in again.stdout


async def test_a_token_that_is_about_to_end_is_renewed_while_a_client_works(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.login()
    first, before = desk.grant(), desk.issuer.renewals
    desk.change(renew_time=time.time() - 1)

    def works() -> list[str]:
        with Client() as client:
            asked = pb.WhoAmIRequest(parent=client.parent)
            names = [client.identity.WhoAmI(asked).principal for _ in range(2)]
            monkeypatch.setattr("cultivar.issuer.LEFT", 1.0)
            desk.change(renew_time=time.time() - 1)
            client.channel._connection.tokens._grant = None
            return [*names, *(client.identity.WhoAmI(asked).principal for _ in range(2))]

    assert await asyncio.to_thread(works) == [desk.name] * 4
    assert desk.issuer.renewals == before + 3
    assert desk.grant()["refresh_token"] not in ("", first["refresh_token"])


async def test_processes_that_find_the_token_about_to_end_at_the_same_time_renew_it_once(desk: Desk) -> None:
    await desk.login()
    before = desk.issuer.renewals
    desk.change(renew_time=time.time() - 1, expire_time=time.time() - 1)
    typed = [await asyncio.create_subprocess_exec(PROGRAM, "whoami", stdout=asyncio.subprocess.PIPE) for _ in range(4)]
    said = await asyncio.gather(*(one.communicate() for one in typed))
    assert [out.splitlines()[0].decode() for out, _ in said] == [desk.name] * 4
    assert desk.issuer.renewals == before + 1


async def test_threads_of_one_client_renew_once_and_the_others_wait_for_it(desk: Desk) -> None:
    await desk.login()
    with Client() as client:
        before = desk.issuer.renewals
        desk.change(renew_time=time.time() - 1)
        tokens: Any = client.channel._connection.tokens  # type: ignore[attr-defined]
        tokens._grant = None
        assert len(set(await asyncio.gather(*(asyncio.to_thread(tokens) for _ in range(8))))) == 1
    assert desk.issuer.renewals == before + 1


async def test_a_sign_in_that_has_ended_says_to_sign_in_again(desk: Desk) -> None:
    await desk.login()
    desk.issuer.revoke_all()
    desk.change(renew_time=time.time() - 2, expire_time=time.time() - 1)
    told = await desk.typed("whoami")
    assert told.exit_code == 1
    assert "has expired" in told.stderr and "(invalid_grant)" in told.stderr
    assert told.stderr.endswith("sign in again with `cultivar login`\n")


async def test_an_issuer_that_is_silent_is_waited_for_while_the_token_counts_and_then_named(desk: Desk) -> None:
    await desk.login()
    desk.change(issuer="http://127.0.0.1:9", renew_time=time.time() - 1)
    assert (await desk.typed("whoami")).stdout.startswith(desk.name)
    desk.change(expire_time=time.time() - 1)
    told = (await desk.typed("whoami")).stderr
    assert "http://127.0.0.1:9 does not answer: sign in again with `cultivar login`" in told


async def test_a_client_whose_sign_in_ends_while_it_works_says_so_in_its_call(desk: Desk) -> None:
    await desk.login()

    def works() -> None:
        with Client() as client:
            desk.grants.unlink()
            tokens: Any = client.channel._connection.tokens  # type: ignore[attr-defined]
            tokens._grant = None
            with pytest.raises(NotConnected, match="nobody is signed in at"):
                client.identity.WhoAmI(pb.WhoAmIRequest(parent=client.parent))

    await asyncio.to_thread(works)


async def test_who_is_not_signed_in_is_told_how_before_any_call(desk: Desk) -> None:
    told = await desk.typed("whoami")
    assert told.exit_code == 1 and "sign in with `cultivar login`, or set CULTIVAR_TOKEN" in told.stderr
    with pytest.raises(NotConnected, match="cultivar login"):
        Client()
    assert not desk.grants.parent.exists()
    desk.grants.parent.mkdir(parents=True, exist_ok=True)
    desk.grants.write_text("{")
    assert "cultivar login" in (await desk.typed("whoami")).stderr


async def test_signing_out_forgets_the_grant_and_takes_it_back_at_the_issuer(desk: Desk) -> None:
    await desk.login()
    grant = desk.grant()
    done = await desk.typed("logout")
    assert done.exit_code == 0 and "signed out of" in done.output
    assert json.loads(desk.grants.read_text()) == {}
    asked = {"grant_type": "refresh_token", "refresh_token": grant["refresh_token"], "client_id": desk.client_id}
    assert httpx2.post(f"{desk.issuer.url}/oauth/token", data=asked).json()["error"] == "invalid_grant"
    again = await desk.typed("logout")
    assert again.exit_code == 1 and "nobody is signed in" in again.stderr


async def test_signing_out_forgets_the_grant_where_the_issuer_is_silent_too_and_says_what_still_counts(
    desk: Desk,
) -> None:
    await desk.login()
    desk.change(issuer="http://127.0.0.1:9")
    done = await desk.typed("logout")
    assert done.exit_code == 0 and "counts until it ends" in done.stderr
    assert "cultivar login" in (await desk.typed("whoami")).stderr


async def test_a_token_that_the_server_takes_no_more_points_to_the_sign_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CULTIVAR_TOKEN", desk.issuer.signed(exp=int(time.time()) - 600))
    assert "the token has expired: sign in again with `cultivar login`" in (await desk.typed("whoami")).stderr


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


async def test_a_grant_that_cannot_be_written_leaves_the_one_before_and_no_draft(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.login()
    before = desk.grant()

    def full(draft: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    told = await desk.typed("login")
    assert told.exit_code == 1 and "No space left on device" in told.stderr
    assert desk.grant() == before
    assert sorted(path.name for path in desk.grants.parent.iterdir()) == ["grants.json", "grants.lock"]


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
