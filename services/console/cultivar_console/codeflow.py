"""Signing in at the issuer (code flow with PKCE, state and nonce), renewing what was granted, and signing out."""

import hmac
import secrets
import time
from collections.abc import Mapping
from typing import Any

import httpx2
from authlib.common.urls import add_params_to_uri
from authlib.integrations.base_client import OAuthError
from cultivar.issuer import LEFT, trustworthy
from cultivar_service.errors import Unauthenticated, Unavailable
from cultivar_service.issuer import Issuer
from cultivar_service.oidc import Oidc
from cultivar_service.own_tokens import oauth_client
from cultivar_service.principal import Principal
from cultivar_service.settings import Settings

from cultivar_console.errors import SignInFailed
from cultivar_console.guard import CALLBACK, SIGNED_OUT
from cultivar_console.sessions import Grant, SignIn

DAY = 24 * 3600.0


class CodeFlow:
    """Signs people in at one issuer, for a console that browsers reach at an address."""

    def __init__(self, settings: Settings, oidc: Oidc, issuer: Issuer, console_url: str) -> None:
        self._settings = settings
        self._oidc = oidc
        self._issuer = issuer
        self._redirect_uri = console_url.rstrip("/") + CALLBACK
        self._signed_out = console_url.rstrip("/") + SIGNED_OUT

    def _client(self) -> Any:
        return oauth_client(
            self._settings,
            self._settings.oidc_scopes,
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
        )

    async def begin(self, next: str) -> tuple[str, SignIn]:
        """Returns where to send the browser, and what must be kept until it comes back."""
        endpoint = (await self._issuer.metadata())["authorization_endpoint"]
        nonce, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        async with self._client() as client:
            url, state = client.create_authorization_url(endpoint, code_verifier=verifier, nonce=nonce)
        return str(url), SignIn(state=state, nonce=nonce, verifier=verifier, next=next)

    async def finish(self, under_way: SignIn | None, answer: Mapping[str, str]) -> tuple[Principal, Grant]:
        """Returns who signed in and what was granted; raises SignInFailed."""
        if under_way is None or not hmac.compare_digest(answer.get("state", "").encode(), under_way.state.encode()):
            raise SignInFailed("this sign-in was not begun in this browser, or it took too long: sign in again")
        if answer.get("iss", self._issuer.url) != self._issuer.url:
            raise SignInFailed("the answer came from another issuer: sign in again")
        if "code" not in answer:
            raise SignInFailed("the identity provider signed nobody in: sign in again")
        given = await self._exchange(answer["code"], under_way)
        try:
            said = await self._oidc.claims(str(given.get("id_token", "")), self._settings.oidc_client_id)
            if not hmac.compare_digest(str(said.get("nonce", "")).encode(), under_way.nonce.encode()):
                raise SignInFailed("the identity provider answered another sign-in: sign in again")
            grant = grant_of(given)
            principal = await self._oidc.authenticate(grant.access_token)
        except Unauthenticated as error:
            raise SignInFailed(error.message) from error
        return principal, grant

    async def _exchange(self, code: str, under_way: SignIn) -> Mapping[str, Any]:
        endpoint = (await self._issuer.metadata())["token_endpoint"]
        try:
            async with self._client() as client:
                return dict(
                    await client.fetch_token(
                        endpoint, grant_type="authorization_code", code=code, code_verifier=under_way.verifier
                    )
                )
        except OAuthError as error:
            raise SignInFailed("the identity provider took back its answer: sign in again") from error
        except (httpx2.HTTPError, ValueError) as error:
            raise Unavailable(f"the issuer {self._issuer.url} does not answer: try again in a moment") from error

    async def renew(self, grant: Grant) -> Grant | None:
        """Returns a grant for longer, the same while the issuer is silent, None where it grants nothing any more."""
        if not grant.refresh_token:
            return grant if grant.expire_time > time.time() else None
        try:
            endpoint = (await self._issuer.metadata())["token_endpoint"]
            async with self._client() as client:
                given = await client.fetch_token(
                    endpoint, grant_type="refresh_token", refresh_token=grant.refresh_token
                )
        except OAuthError:
            return None
        except (httpx2.HTTPError, ValueError, Unavailable):
            return grant if grant.expire_time > time.time() else None
        return grant_of(given, grant.refresh_token, grant.id_token)

    async def end(self, grant: Grant) -> tuple[str, str] | None:
        """Returns where the browser ends the session at the issuer (OpenID Connect RP-Initiated Logout 1.0), and the
        state that it brings back; None where the issuer names no place for it, or is silent."""
        try:
            endpoint = (await self._issuer.metadata()).get("end_session_endpoint")
        except Unavailable:
            return None
        if not isinstance(endpoint, str) or not trustworthy(endpoint):
            return None
        state = secrets.token_urlsafe(24)
        query = {
            "id_token_hint": grant.id_token,
            "client_id": self._settings.oidc_client_id,
            "post_logout_redirect_uri": self._signed_out,
            "state": state,
        }
        return str(add_params_to_uri(endpoint, [(name, value) for name, value in query.items() if value])), state


def grant_of(given: Mapping[str, Any], refresh_token: str = "", id_token: str = "") -> Grant:
    """Returns the grant in an answer of the token endpoint; one that names no end is renewed after a day.

    The tokens of the grant before stay where the answer brings no new ones.
    """
    now, lasts = time.time(), float(given.get("expires_in") or DAY)
    return Grant(
        access_token=given["access_token"],
        refresh_token=given.get("refresh_token") or refresh_token,
        id_token=given.get("id_token") or id_token,
        renew_time=now + lasts * (1 - LEFT),
        expire_time=now + lasts,
    )
