"""Wiring of the console: `python -m cultivar_console` serves the pages alone, beside services elsewhere."""

from collections.abc import Callable
from pathlib import Path

from cultivar_service.parts import Parts, Service
from cultivar_service.serving import main
from cultivar_service.settings import Settings

from cultivar_console.app import Console, make_app, open_console
from cultivar_console.server import WebServer
from cultivar_console.sessions import Sessions

SCHEMA = "console"
MIGRATIONS = Path(__file__).parent / "migrations"


async def build(parts: Parts) -> Service:
    """Builds the console from its parts."""
    database = await parts.database(SCHEMA, MIGRATIONS)
    identity = parts.identity
    console = open_console(parts.person_channel(), identity.authenticator, Sessions(database))
    server = WebServer(make_app(console), parts.settings.host, parts.settings.console_port)
    parts.console = server.url
    console.url = parts.settings.console_url or server.url
    if identity.oidc is not None and identity.issuer is not None:
        from cultivar_console.codeflow import CodeFlow

        console.flow = CodeFlow(parts.settings, identity.oidc, identity.issuer, console.url)
    link = await local_link(console, server.url, identity.token) if console.flow is None else None
    return Service(name=SCHEMA, url=server.url, link=link, database=database, start=server.start, stop=server.stop)


async def local_link(console: Console, url: str, token: str) -> Callable[[], str]:
    """Returns what makes links that sign the owner of this machine in, once each."""
    owner = (await console.authenticator.authenticate(token)).name
    return lambda: f"{url}/signin?code={console.codes.new(owner)}"


if __name__ == "__main__":
    main(Settings, build)
