"""`cultivar login`, `logout` and `whoami`: signing in at the organisation's identity provider, and who that makes one.

The browser comes back to a port of 127.0.0.1 (RFC 8252) that listens until it does.
"""

import hmac
import html
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from threading import Lock, Thread
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

import typer
from rich.console import Console
from rich.table import Table

from cultivar.auth.v1 import auth_pb2
from cultivar.cli.calling import calling_errors, failed
from cultivar.client import Client
from cultivar.connection import find_server
from cultivar.identity.v1 import identity_pb2 as pb
from cultivar.issuer import Grant, Issuer, IssuerError, SignIn
from cultivar.signin import Grants

PATH = "/callback"
WAIT_SECONDS = 600.0
IDLE_SECONDS = 10.0
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Cultivar</title><style>:root{{color-scheme:light dark}}body{{font:1.1rem/1.5 system-ui,sans-serif;
max-width:30rem;margin:15vh auto;padding:0 1rem}}</style><h1>{title}</h1><p>{text}</p></html>"""
SIGNED_IN = "You are signed in", "Close this page and go back to the terminal."
STRANGE = "That did not work", "This answer belongs to no sign-in that waits here: go back to the terminal."


def login(
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Prints the address and opens no browser.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port of 127.0.0.1 that the browser comes back to; 0 for any.")
    ] = 0,
) -> None:
    """Signs in at the identity provider of the server; later commands, and the Python client, then need no token."""
    with calling_errors():
        found = replace(find_server(), token="")
        with Client(found) as client:
            told = client.identity.GetSignIn(pb.GetSignInRequest(parent=client.parent))
        try:
            grant = sign_in(told, port, no_browser)
        except IssuerError as error:
            raise failed(f"{error}: nobody was signed in") from error
        with Client(replace(found, token=grant.access_token)) as client:
            who = client.identity.WhoAmI(pb.WhoAmIRequest(parent=client.parent))
        with Grants().changing() as kept:
            kept[found.address] = grant
    typer.echo(f"{who.principal} is signed in at {found.address}")
    if find_server().token:
        typer.echo("CULTIVAR_TOKEN is set, and goes before it: unset it", err=True)


def logout() -> None:
    """Forgets who signed in at the server, and lets the identity provider take back what it granted."""
    with calling_errors():
        address = find_server().address
        with Grants().changing() as kept:
            grant = kept.pop(address, None)
    if grant is None:
        raise failed(f"nobody is signed in at {address}")
    try:
        Issuer(grant.issuer, grant.client_id).revoke(grant)
    except IssuerError as error:
        typer.echo(f"{error}: what it granted counts until it ends", err=True)
    typer.echo(f"signed out of {address}")


def whoami() -> None:
    """Prints who the server takes one for, and the role in each project."""
    with calling_errors(), Client() as client:
        who = client.identity.WhoAmI(pb.WhoAmIRequest(parent=client.parent))
    typer.echo(who.principal)
    if not who.roles:
        typer.echo("no role in any project: ask an admin of one for it", err=True)
        return
    table = Table("project", "role", box=None)
    for name, role in sorted(who.roles.items()):
        table.add_row("all projects" if name == "*" else name, auth_pb2.Role.Name(role).removeprefix("ROLE_").lower())
    Console().print(table)


def sign_in(told: pb.SignIn, port: int, no_browser: bool) -> Grant:
    """Sends a browser to the issuer and waits until it comes back; raises IssuerError."""
    issuer = Issuer(told.issuer, told.client_id)
    with listening(port) as door:
        begun = issuer.begin(door.redirect_uri, told.scopes)
        door.expect(issuer, begun)
        typer.echo(f"Sign in at this address:\n\n{begun.url}\n")
        if not no_browser:
            webbrowser.open(begun.url)
        try:
            result = door.results.get(timeout=WAIT_SECONDS)
        except Empty:
            minutes = WAIT_SECONDS / 60
            raise IssuerError(f"no browser came back to {door.redirect_uri} in {minutes:.0f} minutes") from None
    if isinstance(result, IssuerError):
        raise result
    return result


@contextmanager
def listening(port: int) -> Iterator["Door"]:
    """Opens a port for the browser to come back to; raises IssuerError where it is taken."""
    try:
        door = Door(port)
    except OSError as error:
        raise IssuerError(f"port {port} of 127.0.0.1 is taken: choose another --port") from error
    serving = Thread(target=door.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    serving.start()
    try:
        yield door
    finally:
        door.shutdown()
        door.server_close()


class Door(ThreadingHTTPServer):
    """Listens on 127.0.0.1 and takes one answer to the sign-in that it expects."""

    # A browser opens connections ahead of use, and what is said on them may never come.
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Visit)
        self.redirect_uri = f"http://127.0.0.1:{self.server_port}{PATH}"
        self.results: Queue[Grant | IssuerError] = Queue()
        self._expected: tuple[Issuer, SignIn] | None = None
        self._taking = Lock()

    def expect(self, issuer: Issuer, begun: SignIn) -> None:
        """Waits for the answer to a sign-in from now on."""
        self._expected = issuer, begun

    def take(self, answer: dict[str, str]) -> Grant | IssuerError | None:
        """Returns what an answer brings; None for one that was not asked for, which changes nothing."""
        with self._taking:
            if self._expected is None:
                return None
            issuer, begun = self._expected
            if not hmac.compare_digest(answer.get("state", "").encode(), begun.state.encode()):
                return None
            self._expected = None
        try:
            return issuer.finish(begun, answer)
        except IssuerError as error:
            return error


class Visit(BaseHTTPRequestHandler):
    """One request of a browser."""

    server: Door
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        """Answers with a page that says what came of it."""
        parts = urlsplit(self.path)
        if parts.path != PATH:
            return self._show(404, *STRANGE)
        result = self.server.take(dict(parse_qsl(parts.query)))
        try:
            if result is None:
                self._show(400, *STRANGE)
            elif isinstance(result, IssuerError):
                self._show(400, STRANGE[0], f"{result}. Go back to the terminal.")
            else:
                self._show(200, *SIGNED_IN)
        finally:
            if result is not None:
                self.server.results.put(result)

    def _show(self, status: int, title: str, text: str) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(PAGE.format(title=html.escape(title), text=html.escape(text)).encode())

    def log_message(self, format: str, *given: Any) -> None:
        """Says nothing: the address holds a code."""
