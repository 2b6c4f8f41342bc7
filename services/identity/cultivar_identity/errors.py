"""The errors of identity.

InvalidArgument
├── PrincipalInvalid       a principal has no name that a token could have
├── RoleInvalid            a binding without a role
└── HoursInvalid           an invitation for too short or too long
NotFound
├── RoleBindingUnknown
└── InvitationUnknown      no such invitation, or a secret of another
AlreadyExists
└── AlreadyBound           the principal has this role already
FailedPrecondition
├── InvitationUsed         another accepted it
├── InvitationExpired
├── NoIssuer               the server takes the token of its machine alone
└── NoClient               the command line has no client at the issuer
"""

from cultivar_service.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound


class PrincipalInvalid(InvalidArgument):
    """No token could have that principal."""

    reason = "PRINCIPAL_INVALID"

    def __init__(self) -> None:
        super().__init__(
            "role_binding.principal must be 1 to 255 printable characters, without blanks around them, as the issuer's "
            "tokens name the principal",
            field="role_binding.principal",
        )


class RoleInvalid(InvalidArgument):
    """A binding names no role."""

    reason = "ROLE_INVALID"

    def __init__(self) -> None:
        super().__init__(
            "role_binding.role must be viewer, reviewer, adjudicator, engineer or admin", field="role_binding.role"
        )


class HoursInvalid(InvalidArgument):
    """An invitation would be open for too short or too long."""

    reason = "HOURS_INVALID"

    def __init__(self, hours: int, most: int) -> None:
        super().__init__(f"hours must be 0 to {most}, got {hours}", field="hours")


class RoleBindingUnknown(NotFound):
    """No role binding has that name."""

    reason = "ROLE_BINDING_UNKNOWN"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} does not exist: ListRoleBindings gives those that do")


class InvitationUnknown(NotFound):
    """No invitation has that name and secret."""

    reason = "INVITATION_UNKNOWN"

    def __init__(self) -> None:
        super().__init__("there is no such invitation: ask an admin of the project for a new link")


class AlreadyBound(AlreadyExists):
    """The principal has the role already."""

    reason = "ALREADY_BOUND"

    def __init__(self, principal: str, project: str) -> None:
        super().__init__(f"{principal} has this role in projects/{project} already: ListRoleBindings shows it")


class InvitationUsed(FailedPrecondition):
    """Another principal accepted the invitation."""

    reason = "INVITATION_USED"

    def __init__(self) -> None:
        super().__init__("this invitation has been used: ask an admin of the project for a new link")


class InvitationExpired(FailedPrecondition):
    """The invitation was not accepted in time."""

    reason = "INVITATION_EXPIRED"

    def __init__(self) -> None:
        super().__init__("this invitation has expired: ask an admin of the project for a new link")


class NoIssuer(FailedPrecondition):
    """The server knows no identity provider."""

    reason = "NO_ISSUER"

    def __init__(self) -> None:
        super().__init__(
            "this server has no identity provider to sign in at: set CULTIVAR_TOKEN to the token in the data folder of "
            "its `cultivar up`"
        )


class NoClient(FailedPrecondition):
    """Nobody can sign in on the command line."""

    reason = "NO_CLIENT"

    def __init__(self) -> None:
        super().__init__(
            "this server names no client for the command line: whoever runs it sets CULTIVAR_OIDC_CLI_CLIENT_ID; until "
            "then set CULTIVAR_TOKEN"
        )
