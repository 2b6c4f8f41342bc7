"""Messages of identity to and from rows."""

from cultivar.auth.v1 import auth_pb2
from cultivar.identity.v1 import identity_pb2 as pb
from cultivar_service.names import resource_name
from cultivar_service.principal import Principal, usable_name
from cultivar_service.run_codec import encode_time
from cultivar_service.settings import Settings
from sqlalchemy import RowMapping

from cultivar_identity.errors import HoursInvalid, NoClient, NoIssuer, PrincipalInvalid, RoleInvalid
from cultivar_identity.store import BINDINGS, INVITATIONS

HOURS, MOST_HOURS = 72, 168


def decode_binding(binding: pb.RoleBinding) -> tuple[str, str]:
    """Returns the principal and the name of the role; raises PrincipalInvalid and RoleInvalid."""
    principal = binding.principal
    if not usable_name(principal):
        raise PrincipalInvalid
    known = auth_pb2.Role.DESCRIPTOR.values_by_number.get(binding.role)
    if known is None or known.number <= auth_pb2.ROLE_UNSPECIFIED:
        raise RoleInvalid
    return principal, known.name


def decode_hours(hours: int) -> int:
    """Returns for how many hours an invitation is open; raises HoursInvalid."""
    if not 0 <= hours <= MOST_HOURS:
        raise HoursInvalid(hours, MOST_HOURS)
    return hours or HOURS


def encode_sign_in(settings: Settings) -> pb.SignIn:
    """Returns where people sign in on the command line; raises NoIssuer and NoClient."""
    if not settings.oidc_issuer:
        raise NoIssuer
    if not settings.oidc_cli_client_id:
        raise NoClient
    scopes = settings.oidc_scopes.split()
    return pb.SignIn(issuer=settings.oidc_issuer, client_id=settings.oidc_cli_client_id, scopes=scopes)


def encode_principal(principal: Principal) -> pb.Principal:
    """Returns who somebody is."""
    return pb.Principal(principal=principal.name, roles=principal.roles)


def encode_binding(row: RowMapping) -> pb.RoleBinding:
    """Returns a role binding."""
    return pb.RoleBinding(
        name=resource_name(row["project"], BINDINGS, row["id"]),
        principal=row["principal"],
        role=auth_pb2.Role.Value(row["role"]),
        create_time=encode_time(row["create_time"]),
        invitation=row["invitation"],
    )


def encode_invitation(row: RowMapping) -> pb.Invitation:
    """Returns an invitation without its secret."""
    return pb.Invitation(
        name=resource_name(row["project"], INVITATIONS, row["id"]),
        create_time=encode_time(row["create_time"]),
        expire_time=encode_time(row["expire_time"]),
        accepted_by=row["accepted_by"],
    )


def link_of(console_url: str, name: str, secret: str) -> str:
    """Returns the page that accepts an invitation; empty where nobody knows where the console is."""
    return f"{console_url}/{name}?secret={secret}" if console_url else ""
