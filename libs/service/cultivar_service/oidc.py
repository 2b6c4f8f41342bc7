"""Principals by OIDC: a bearer token of the issuer, checked, becomes a name and its roles.

A token counts where it is a JWT that the issuer signed with a key it publishes, by one of ALGORITHMS, for our
audience, and in its time. What it says of roles is read from one claim, a list of `cultivar:PROJECT:ROLE` (`*` for all
projects); other entries are of other programs. Bindings that Cultivar stores come on top: the greatest role counts.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from cultivar.auth.v1 import auth_pb2
from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError
from joserfc.jwt import JWTClaimsRegistry

from cultivar_service.errors import Unauthenticated
from cultivar_service.issuer import Issuer
from cultivar_service.names import PROJECT
from cultivar_service.principal import ANY_PROJECT, Principal, Roles, usable_name
from cultivar_service.settings import Settings

# Of public keys alone: a shared secret (HS…) could be our own public key, and `none` is no signature.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
REGISTRY = jws.JWSRegistry(algorithms=ALGORITHMS)
ENTRY = "cultivar:"
# As they are written: of letters that become another's capital, none makes an admin.
WORDS = {
    name.removeprefix("ROLE_").lower(): number
    for name, number in auth_pb2.Role.items()
    if number > auth_pb2.ROLE_UNSPECIFIED
}
# Names of principals that Cultivar itself makes; a claim must not take them.
RESERVED = ("local", "system")

Bound = Callable[[str, bool], Awaitable[Roles]]


async def nothing_bound(principal: str, fresh: bool) -> Roles:
    """Returns no roles."""
    return {}


class Oidc:
    """Turns tokens of one issuer into principals."""

    def __init__(self, settings: Settings, issuer: Issuer, bound: Bound = nothing_bound) -> None:
        self._settings = settings
        self._issuer = issuer
        self._bound = bound
        admins = dict.fromkeys(listed(settings.oidc_admins), auth_pb2.ROLE_ADMIN)
        self._everywhere = dict.fromkeys(listed(settings.oidc_services), auth_pb2.ROLE_ENGINEER) | admins

    async def authenticate(self, token: str, fresh: bool = False) -> Principal:
        """Returns the principal of a token; raises Unauthenticated, with one sentence, where it does not count."""
        claims = await self.claims(token, self._settings.oidc_audience)
        name = self.name_of(claims)
        roles = roles_of(claim_at(claims, self._settings.oidc_roles_claim))
        everywhere = {ANY_PROJECT: self._everywhere[name]} if name in self._everywhere else {}
        return Principal(name, greatest(roles, everywhere, await self._bound(name, fresh)))

    def name_of(self, claims: Mapping[str, Any]) -> str:
        """Returns the name of the principal; raises Unauthenticated where the claim holds none that can be used."""
        claim = self._settings.oidc_principal_claim
        name = claim_at(claims, claim)
        if not isinstance(name, str) or not usable_name(name) or name in RESERVED:
            raise Unauthenticated(
                f"the token's claim {claim} names no principal: set CULTIVAR_OIDC_PRINCIPAL_CLAIM to one that does"
            )
        return name

    async def claims(self, token: str, audience: str) -> dict[str, Any]:
        """Returns the claims of a token that counts for an audience; raises Unauthenticated."""
        header, unchecked = parts_of(token, self._issuer.url)
        alg = header.get("alg")
        if alg not in ALGORITHMS:
            raise Unauthenticated("the token is not signed by a public key: the issuer must sign by RS256 or ES256")
        # Read before the signature to refuse only: whose keys would be asked for another issuer's token?
        if unchecked.get("iss") != self._issuer.url:
            raise Unauthenticated(f"the token is of another issuer: pass one of {self._issuer.url}")
        kid = header.get("kid")
        key = await self._issuer.key(kid if isinstance(kid, str) else None, alg)
        if key is None:
            raise Unauthenticated(f"the token names a key that {self._issuer.url} does not publish: sign in again")
        try:
            checked = jwt.decode(token, key, registry=REGISTRY).claims
        except (JoseError, ValueError) as error:
            raise Unauthenticated("the token's signature does not hold: sign in again") from error
        self._check(checked, audience)
        return checked

    def _check(self, claims: dict[str, Any], audience: str) -> None:
        url = self._issuer.url
        wanted = JWTClaimsRegistry(
            leeway=self._settings.oidc_leeway_seconds,
            iss={"essential": True, "value": url},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
        )
        try:
            wanted.validate(claims)
        except ExpiredTokenError as error:
            raise Unauthenticated(f"the token has expired: sign in again, or ask {url} for a new one") from error
        except MissingClaimError as error:
            raise Unauthenticated(f"the token lacks a claim, {error.description}: pass a token of {url}") from error
        except InvalidClaimError as error:
            if error.claim == "aud":
                raise Unauthenticated(f"the token is for another audience: ask {url} for one for {audience}") from error
            raise Unauthenticated(
                f"the token's claim {error.claim} does not hold now: check the clocks of this machine and of {url}"
            ) from error


def parts_of(token: str, issuer: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Returns header and claims of a JWT, nothing of which was checked; raises Unauthenticated where it is none."""
    try:
        found = jws.extract_compact(token.encode())
        header, claims = found.headers(), json.loads(found.payload)
    except (JoseError, ValueError, RecursionError) as error:
        # JSON that is nested without end exhausts the parser's stack before anything was checked.
        raise Unauthenticated(f"the token is not a JWT: pass an access token of {issuer}") from error
    if not isinstance(claims, dict):
        raise Unauthenticated(f"the token is not a JWT: pass an access token of {issuer}")
    return header, claims


def claim_at(claims: Mapping[str, Any], path: str) -> Any:
    """Returns the claim of a name, or at a path of names with dots; None where there is none."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def roles_of(entries: Any) -> Roles:
    """Returns the greatest role for each project that entries `cultivar:PROJECT:ROLE` name; others say nothing."""
    roles: list[Roles] = []
    for entry in entries if isinstance(entries, list) else [entries]:
        if isinstance(entry, str) and entry.startswith(ENTRY):
            project, _, word = entry.removeprefix(ENTRY).partition(":")
            role = WORDS.get(word)
            if role is not None and (project == ANY_PROJECT or PROJECT.fullmatch(project)):
                roles.append({project: role})
    return greatest(*roles)


def greatest(*several: Roles) -> Roles:
    """Joins roles by project; the greatest counts."""
    joined: dict[str, auth_pb2.Role.ValueType] = {}
    for roles in several:
        for project, role in roles.items():
            joined[project] = max(role, joined.get(project, role))
    return joined


def listed(names: str) -> Iterable[str]:
    """Returns the names of a list that is separated by commas."""
    return [name.strip() for name in names.split(",") if name.strip()]
