"""Wiring of the console: `python -m cultivar_console` serves the pages alone, beside services elsewhere."""

from cultivar_service.parts import Parts, Service
from cultivar_service.principal import LocalToken, local_token
from cultivar_service.serving import main
from cultivar_service.settings import Settings

from cultivar_console.app import make_app, open_console
from cultivar_console.server import WebServer


async def build(parts: Parts) -> Service:
    """Builds the console from its parts."""
    token = local_token(parts.settings.token_file)
    console = open_console(parts.channel, LocalToken(token))
    owner = (await console.authenticator.authenticate(token)).name
    server = WebServer(make_app(console), parts.settings.host, parts.settings.console_port)
    parts.console = server.url
    return Service(
        name="console",
        url=server.url,
        link=lambda: f"{server.url}/signin?code={console.sessions.new_code(owner)}",
        start=server.start,
        stop=server.stop,
    )


if __name__ == "__main__":
    main(Settings, build)
