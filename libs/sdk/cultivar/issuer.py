"""A person's client at an OIDC issuer: the code flow with PKCE (RFC 7636, RFC 8252), renewal and revocation.

A public client, without a secret. An issuer is asked over https, or plainly on loopback, and never led elsewhere.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pydantic import BaseModel

ANSWER_SECONDS = 10.0
MOST_BYTES = 1 << 20
HOUR = 3600.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# A token is renewed when less than this part of its life is left, so that no call begins with one about to end.
LEFT = 0.2


class IssuerError(Exception):
    """An issuer refuses, or does not answer as one does; the message says what, and reads on from another sentence."""


class Grant(BaseModel):
    """What an issuer granted to a person; times are seconds since 1970."""

    issuer: str
    client_id: str
    access_token: str
    refresh_token: str = ""
    renew_time: float
    expire_time: float


class NoRedirects(HTTPRedirectHandler):
    """Follows no redirect: what an issuer is told is for the address that its document names."""

    def redirect_request(self, *given: Any) -> None:
        """Returns no other request."""
        return None


def trustworthy(url: str) -> bool:
    """Tells whether an address may be told secrets: https, or this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    return safe and bool(parts.hostname) and url.isprintable()


@dataclass(frozen=True)
class SignIn:
    """A sign-in under way: where the browser goes, and what its answer is compared with."""

    url: str
    redirect_uri: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


class Issuer:
    """One issuer, as the client of an id; what it publishes is read when it is made. Raises IssuerError."""

    def __init__(self, url: str, client_id: str) -> None:
        self.url = url
        self.client_id = client_id
        self._published = asked(url.rstrip("/") + "/.well-known/openid-configuration")
        if self._published.get("issuer") != url:
            raise IssuerError(f"the document at {url} is of another issuer")

    def _endpoint(self, name: str) -> str:
        found = self._published.get(name)
        if not isinstance(found, str) or not trustworthy(found):
            raise IssuerError(f"{self.url} names no {name} with https")
        return found

    def begin(self, redirect_uri: str, scopes: Sequence[str]) -> SignIn:
        """Begins a sign-in whose answer comes to an address of this machine."""
        state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = self._endpoint("authorization_endpoint")
        url = f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"
        return SignIn(url, redirect_uri, state, nonce, verifier)

    def finish(self, begun: SignIn, answer: Mapping[str, str]) -> Grant:
        """Returns what is granted for the answer that the browser brought, whose state was compared before."""
        tells = self._published.get("authorization_response_iss_parameter_supported") is True
        if answer.get("iss", "" if tells else self.url) != self.url:
            raise IssuerError("the answer came from another issuer")
        if "code" not in answer:
            raise IssuerError(f"{self.url} signed nobody in{code_of(answer)}")
        given = self._tokens(
            grant_type="authorization_code",
            code=answer["code"],
            redirect_uri=begun.redirect_uri,
            code_verifier=begun.verifier,
        )
        self._check_identity(str(given.get("id_token", "")), begun.nonce)
        return self._grant(given)

    def _check_identity(self, id_token: str, nonce: str) -> None:
        """Checks whose answer it is. It came from the token endpoint itself, so its signature says no more than the
        connection does (OpenID Connect Core 3.1.3.7); the server checks that of the access token."""
        claims = claims_of(id_token)
        audience = claims.get("aud")
        mine = self.client_id in (audience if isinstance(audience, list) else [audience])
        same = hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode())
        if claims.get("iss") != self.url or not mine or not same:
            raise IssuerError(f"{self.url} answered another sign-in")

    def renew(self, grant: Grant) -> Grant:
        """Returns a grant for longer; its refresh token may be another, and the one before void."""
        if not grant.refresh_token:
            raise IssuerError(f"{self.url} granted nothing to renew it with")
        given = self._tokens(grant_type="refresh_token", refresh_token=grant.refresh_token)
        return self._grant(given, grant.refresh_token)

    def revoke(self, grant: Grant) -> None:
        """Takes a grant back, where the issuer has an endpoint for it (RFC 7009)."""
        if "revocation_endpoint" in self._published:
            told = {"client_id": self.client_id, "token": grant.refresh_token or grant.access_token}
            asked(self._endpoint("revocation_endpoint"), told)

    def _tokens(self, **fields: str) -> Mapping[str, Any]:
        return asked(self._endpoint("token_endpoint"), {"client_id": self.client_id, **fields})

    def _grant(self, given: Mapping[str, Any], refresh_token: str = "") -> Grant:
        now = time.time()
        try:
            lasts = float(given.get("expires_in") or HOUR)
            return Grant(
                issuer=self.url,
                client_id=self.client_id,
                access_token=given["access_token"],
                refresh_token=given.get("refresh_token") or refresh_token,
                renew_time=now + lasts * (1 - LEFT),
                expire_time=now + lasts,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise IssuerError(f"{self.url} granted no token") from error


def asked(url: str, fields: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Returns the JSON object at an address, or what it answers to the fields of a form; raises IssuerError."""
    if not trustworthy(url):
        raise IssuerError(f"the address {url[:200]!r} has no https")
    where = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
    data = None if fields is None else urlencode(fields).encode()
    request = Request(url, data, {"Accept": "application/json"})
    try:
        with build_opener(NoRedirects).open(request, timeout=ANSWER_SECONDS) as response:
            content = response.read(MOST_BYTES)
        found = json.loads(content or b"{}")
    except HTTPError as error:
        raise IssuerError(f"{where} refuses{code_of(object_of(error))}") from error
    except OSError as error:
        raise IssuerError(f"{where} does not answer") from error
    except (ValueError, RecursionError, HTTPException) as error:
        raise IssuerError(f"{where} does not answer as an issuer does") from error
    if not isinstance(found, dict):
        raise IssuerError(f"{where} does not answer as an issuer does")
    return found


def object_of(error: HTTPError) -> Mapping[str, Any]:
    """Returns the JSON object in a refusal; the empty one where there is none."""
    try:
        found = json.loads(error.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError, HTTPException):
        return {}
    return found if isinstance(found, dict) else {}


def code_of(answer: Mapping[str, Any]) -> str:
    """Returns the code of an OAuth error in brackets; the empty string for anything else."""
    code = answer.get("error")
    return f" ({code})" if isinstance(code, str) and code.isascii() and code.isprintable() and len(code) < 64 else ""


def claims_of(token: str) -> Mapping[str, Any]:
    """Returns the claims of a JWT, nothing of which was checked; the empty mapping where it is none."""
    try:
        found = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    except (IndexError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
