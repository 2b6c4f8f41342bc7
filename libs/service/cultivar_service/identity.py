"""Who calls and who we are: one local token, or an OIDC issuer, as the settings say.

What speaks with an issuer takes half a second to import, so it is imported where one is set.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cultivar_service.bindings import SCHEMA, Bindings
from cultivar_service.database import Database
from cultivar_service.errors import StartError
from cultivar_service.principal import Authenticator, LocalToken, local_token
from cultivar_service.settings import Settings

if TYPE_CHECKING:
    from cultivar_service.issuer import Issuer
    from cultivar_service.oidc import Oidc
    from cultivar_service.own_tokens import OwnTokens


async def nothing_to_close() -> None:
    """Closes nothing."""


@dataclass(frozen=True)
class Identity:
    """How a process knows its callers, and how it makes itself known to others.

    With the local token: `token`. With an issuer: `oidc`, and `own`, which gives the token for our calls.
    """

    authenticator: Authenticator
    token: str = ""
    oidc: "Oidc | None" = None
    issuer: "Issuer | None" = None
    own: "OwnTokens | None" = None
    close: Callable[[], Awaitable[None]] = nothing_to_close


def open_identity(settings: Settings) -> Identity:
    """Opens the identity that the settings ask for; raises StartError where they do not fit together."""
    if not settings.oidc_issuer:
        token = local_token(settings.token_file)
        return Identity(LocalToken(token), token)
    return open_oidc(settings)


def open_oidc(settings: Settings) -> Identity:
    """Opens the identity of an issuer; raises StartError where its settings do not fit together."""
    from cultivar.issuer import trustworthy

    from cultivar_service.issuer import Issuer
    from cultivar_service.oidc import Oidc, nothing_bound
    from cultivar_service.own_tokens import OwnTokens

    if not trustworthy(settings.oidc_issuer):
        raise StartError("CULTIVAR_OIDC_ISSUER must begin with https:// (http:// is for this machine alone)")
    if not settings.oidc_audience:
        raise StartError("CULTIVAR_OIDC_ISSUER is set without CULTIVAR_OIDC_AUDIENCE: name whom tokens must be for")
    issuer = Issuer(settings.oidc_issuer, ca=settings.oidc_ca)
    # Without a database the start fails by itself, with the sentence that belongs to it.
    bindings = Bindings(Database(settings.database_url, SCHEMA, connections=4)) if settings.database_url else None
    oidc = Oidc(settings, issuer, bindings.of if bindings else nothing_bound)
    close = bindings.close if bindings else nothing_to_close
    return Identity(oidc, oidc=oidc, issuer=issuer, own=OwnTokens(settings, issuer), close=close)
