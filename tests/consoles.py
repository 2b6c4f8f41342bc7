"""Consoles of a test: where one is, and one at which people sign in at an issuer."""

from cultivar_console.__main__ import build as console
from cultivar_identity.__main__ import build as identity
from cultivar_review.__main__ import build as review
from cultivar_service.serving import Host
from pydantic import SecretStr

from tests.conftest import Start
from tests.issuer import AUDIENCE, RealIssuer


def console_of(host: Host) -> str:
    """Returns the address of a host's web pages."""
    return next(service.url for service in host.services if service.url)


async def start_with_issuer(start: Start, issuer: RealIssuer, client: str, **changed: object) -> Host:
    """Starts identity, review and console, which the issuer knows as a client."""
    host = await start(
        identity,
        review,
        console,
        oidc_issuer=issuer.url,
        oidc_audience=AUDIENCE,
        oidc_client_id=client,
        oidc_client_secret=SecretStr(issuer.secret),
        oidc_scopes="openid profile email groups",
        **changed,
    )
    url = console_of(host)
    issuer.add_client(client, f"{url}/signin/callback", signed_out_uri=f"{url}/signed-out")
    return host
