"""The errors that reach a caller, each with its gRPC status and a message that says what to do.

CultivarError
├── InvalidArgument        INVALID_ARGUMENT     a field is wrong; `field` names it
├── Unauthenticated        UNAUTHENTICATED      no token, or one that is not valid
├── PermissionDenied       PERMISSION_DENIED    the role does not suffice
├── NotFound               NOT_FOUND            no such resource in this project
├── AlreadyExists          ALREADY_EXISTS       the name is taken
├── FailedPrecondition     FAILED_PRECONDITION  the resource is not in the state that the call needs
│   └── StaleLease                              the lease was lost or has lapsed
├── Aborted                ABORTED              a change by another caller came first; try again
├── ResourceExhausted      RESOURCE_EXHAUSTED   a limit was reached
└── Unavailable            UNAVAILABLE          something outside does not answer; try again later

StartError reaches whoever starts a process instead, as one sentence.
"""

from grpc import StatusCode


class StartError(Exception):
    """Something that a process needs at its start is missing or wrong; the message says what to do."""


class CultivarError(Exception):
    """Carries what went wrong to the caller as one status, one reason and one sentence."""

    status = StatusCode.INTERNAL
    reason = "INTERNAL"

    def __init__(self, message: str, *, reason: str = "", field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or type(self).reason
        self.field = field


class InvalidArgument(CultivarError):
    """A field of the request is wrong."""

    status = StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"


class Unauthenticated(CultivarError):
    """The call carries no valid token."""

    status = StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDenied(CultivarError):
    """The principal's role does not suffice."""

    status = StatusCode.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class NotFound(CultivarError):
    """There is no such resource in this project."""

    status = StatusCode.NOT_FOUND
    reason = "NOT_FOUND"


class AlreadyExists(CultivarError):
    """The name is taken."""

    status = StatusCode.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class FailedPrecondition(CultivarError):
    """The resource is not in the state that the call needs."""

    status = StatusCode.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"


class StaleLease(FailedPrecondition):
    """The lease was lost or has lapsed; nothing was changed."""

    reason = "STALE_LEASE"


class Aborted(CultivarError):
    """A change by another caller came first."""

    status = StatusCode.ABORTED
    reason = "ABORTED"


class ResourceExhausted(CultivarError):
    """A limit was reached."""

    status = StatusCode.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"


class Unavailable(CultivarError):
    """Something outside does not answer."""

    status = StatusCode.UNAVAILABLE
    reason = "UNAVAILABLE"
