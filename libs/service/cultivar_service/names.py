"""Resource names: `projects/{project}/{collection}/{id}`."""

import re
import secrets
import time

from cultivar_service.errors import InvalidArgument

PROJECT = re.compile(r"[a-z][a-z0-9-]{0,62}")
RESOURCE_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id() -> str:
    """Returns a fresh id of 20 characters that sorts by the time it was made."""
    number = (time.time_ns() // 1_000_000) << 52 | secrets.randbits(52)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(95, -1, -5))


def project_of(name: str, field: str = "name") -> str:
    """Returns the project of a resource name; raises InvalidArgument where it names none."""
    parts = name.split("/")
    if len(parts) < 2 or parts[0] != "projects" or not PROJECT.fullmatch(parts[1]):
        raise InvalidArgument(f"{field} must begin with projects/PROJECT, got {name[:80]!r}", field=field)
    return parts[1]


def split_name(name: str, collection: str, field: str = "name") -> tuple[str, str]:
    """Splits `projects/{project}/{collection}/{id}` into project and id; raises InvalidArgument for another form."""
    project = project_of(name, field)
    parts = name.split("/")
    if len(parts) != 4 or parts[2] != collection or not parts[3]:
        raise InvalidArgument(f"{field} must be projects/PROJECT/{collection}/ID, got {name[:80]!r}", field=field)
    return project, parts[3]


def resource_name(project: str, collection: str, identifier: str) -> str:
    """Joins project, collection and id into a name; the empty id gives the empty name."""
    return f"projects/{project}/{collection}/{identifier}" if identifier else ""


def check_id(identifier: str, field: str) -> str:
    """Returns an id that a caller chose; raises InvalidArgument where it has other characters."""
    if not RESOURCE_ID.fullmatch(identifier):
        raise InvalidArgument(
            f"{field} must be 1 to 63 lower-case letters, digits, '.', '-' or '_', got {identifier[:80]!r}",
            field=field,
        )
    return identifier
