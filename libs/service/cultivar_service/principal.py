"""Who calls: principals, their roles by project, and how a token becomes one."""

import hmac
import os
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cultivar.auth.v1 import auth_pb2

from cultivar_service.errors import PermissionDenied, Unauthenticated

ANY_PROJECT = "*"
MOST_NAME = 255
Roles = Mapping[str, "auth_pb2.Role.ValueType"]


@dataclass(frozen=True)
class Principal:
    """A caller, and the role that it has in each project (`*` for all)."""

    name: str
    roles: Roles = field(default_factory=dict)

    def role(self, project: str) -> "auth_pb2.Role.ValueType":
        """Returns the greatest role in a project; ROLE_UNSPECIFIED where there is none."""
        return max(self.roles.get(key, auth_pb2.ROLE_UNSPECIFIED) for key in (project, ANY_PROJECT))

    def require(self, project: str, least: "auth_pb2.Role.ValueType") -> None:
        """Raises PermissionDenied unless the role in the project is `least` or more."""
        if self.role(project) < least:
            needed = auth_pb2.Role.Name(least).removeprefix("ROLE_").lower()
            raise PermissionDenied(
                f"{self.name} needs the role {needed} in projects/{project}; ask an admin of the project for it"
            )


def usable_name(name: str) -> bool:
    """Tells whether a principal may have a name: 1 to 255 printable characters, without blanks around them, so that
    nobody's name looks like another's."""
    return 0 < len(name) <= MOST_NAME and name.isprintable() and name == name.strip()


SYSTEM = Principal("system", {ANY_PROJECT: auth_pb2.ROLE_ADMIN})
# Whoever makes a call that needs no token.
STRANGER = Principal("stranger")
current_principal: ContextVar[Principal] = ContextVar("principal", default=SYSTEM)


class Authenticator(Protocol):
    """Turns the token of a call into a principal."""

    async def authenticate(self, token: str, fresh: bool = False) -> Principal:
        """Returns the principal; raises Unauthenticated where the token is not valid.

        `fresh` asks for roles as they are now, where otherwise those of a few seconds ago would do.
        """
        ...


class LocalToken:
    """Knows one token, made at the first start, whose bearer is admin of every project of this machine."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def authenticate(self, token: str, fresh: bool = False) -> Principal:
        """Returns the local principal; raises Unauthenticated for any other token."""
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            raise Unauthenticated("the token is not this machine's: pass the one in the file that `cultivar up` names")
        return Principal("local", {ANY_PROJECT: auth_pb2.ROLE_ADMIN})


def local_token(path: Path) -> str:
    """Reads the token of a file, which is made with mode 0600 when absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        token = secrets.token_urlsafe(32)
        file.write(token + "\n")
    return token


def bearer(metadata: Mapping[str, str]) -> str:
    """Returns the bearer token of a call's metadata; raises Unauthenticated where there is none."""
    scheme, _, token = metadata.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("the call carries no token: send `authorization: Bearer TOKEN` as metadata")
    return token.strip()
