"""The errors of the console, and how the errors of services become pages.

ConsoleError
├── SignInNeeded    401  nobody is signed in, or no longer
├── SignInFailed    401  the identity provider's answer does not sign anybody in
└── Refused         403  a post that does not come from one of our own pages
"""

from dataclasses import dataclass

import grpc
from cultivar_service.errors import CultivarError
from google.rpc import error_details_pb2, status_pb2

STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


class ConsoleError(Exception):
    """Something that a browser is told."""

    status = 400
    reason = "BAD_REQUEST"


class SignInNeeded(ConsoleError):
    """Nobody is signed in."""

    status = 401
    reason = "SIGN_IN_NEEDED"

    def __init__(self) -> None:
        super().__init__("you are signed out: sign in again")


class SignInFailed(ConsoleError):
    """The identity provider's answer does not sign anybody in."""

    status = 401
    reason = "SIGN_IN_FAILED"


class Refused(ConsoleError):
    """A post does not come from one of our own pages."""

    status = 403
    reason = "REFUSED"

    def __init__(self) -> None:
        super().__init__("this page is out of date: load it again")


@dataclass(frozen=True)
class Shown:
    """An error as a browser is shown it."""

    status: int
    reason: str
    message: str


def shown(error: Exception) -> Shown:
    """Returns what a browser is shown of an error."""
    if isinstance(error, ConsoleError):
        return Shown(error.status, error.reason, str(error))
    if isinstance(error, CultivarError):
        return Shown(STATUS.get(error.status, 500), error.reason, error.message)
    if isinstance(error, grpc.aio.AioRpcError):
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return Shown(503, "UNAVAILABLE", "the service does not answer: try again in a moment")
        return Shown(STATUS.get(error.code(), 500), reason_of(error), error.details() or error.code().name)
    return Shown(500, "INTERNAL", "something went wrong here: try again, and tell whoever runs this server")


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Returns the reason in the rich status of a failed call; the code's name where it has none."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return str(info.reason)
    return error.code().name
