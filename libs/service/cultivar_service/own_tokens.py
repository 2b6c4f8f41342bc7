"""The token of this service itself, by the client credentials grant."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from cultivar.issuer import LEFT

from cultivar_service.errors import FailedPrecondition, Unavailable
from cultivar_service.issuer import ANSWER_SECONDS, Issuer, trust
from cultivar_service.settings import Settings


class OwnTokens:
    """The token of this service, by the client credentials grant, kept until a fifth of its life is left."""

    def __init__(self, settings: Settings, issuer: Issuer, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._issuer = issuer
        self._clock = clock
        self._token = ""
        self._renew_at = float("-inf")
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """Returns the token; raises FailedPrecondition without a client, and Unavailable where none can be had."""
        if not self._settings.oidc_client_id:
            raise FailedPrecondition(
                "this service has no client to call others as: set CULTIVAR_OIDC_CLIENT_ID, and its secret"
            )
        async with self._asking:
            if self._clock() >= self._renew_at:
                asked_at = self._clock()
                given = await self._ask()
                self._token = str(given["access_token"])
                self._renew_at = asked_at + float(given.get("expires_in", 0)) * (1 - LEFT)
        return self._token

    async def _ask(self) -> dict[str, Any]:
        endpoint = (await self._issuer.metadata())["token_endpoint"]
        try:
            async with oauth_client(self._settings, self._settings.oidc_client_scopes) as client:
                return dict(await client.fetch_token(endpoint, grant_type="client_credentials"))
        except OAuthError as error:
            raise FailedPrecondition(
                f"the issuer refuses our client ({error.error}): check CULTIVAR_OIDC_CLIENT_ID and its secret"
            ) from error
        except (httpx2.HTTPError, ValueError) as error:
            raise Unavailable(f"the issuer {self._issuer.url} gives no token: it does not answer") from error


def oauth_client(settings: Settings, scope: str, **options: Any) -> AsyncOAuth2Client:
    """Returns a client of the issuer's endpoints, to be closed by its caller."""
    secret = settings.oidc_client_secret.get_secret_value() or None
    given = {"scope": scope or None, "timeout": ANSWER_SECONDS, "verify": trust(settings.oidc_ca), **options}
    return AsyncOAuth2Client(settings.oidc_client_id, secret, **given)
