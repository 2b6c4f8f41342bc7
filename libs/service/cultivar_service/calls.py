"""One call to another service, and what its failure means here."""

from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from cultivar_service import errors

CALL_SECONDS = 60.0
LONG_CALL_SECONDS = 600.0
BY_STATUS: dict[grpc.StatusCode, type[errors.CultivarError]] = {
    kind.status: kind
    for kind in (
        errors.InvalidArgument,
        errors.PermissionDenied,
        errors.NotFound,
        errors.AlreadyExists,
        errors.FailedPrecondition,
        errors.Aborted,
        errors.ResourceExhausted,
        errors.Unavailable,
    )
}


async def call(method: Any, request: Any, seconds: float = CALL_SECONDS) -> Any:
    """Makes a call; raises the other service's error as one of ours, and Unavailable where it does not answer."""
    try:
        return await method(request, timeout=seconds)
    except grpc.aio.AioRpcError as error:
        raise translated(error, method) from error


def translated(error: grpc.aio.AioRpcError, method: Any) -> errors.CultivarError:
    """Returns the error of a failed call as a service raises it, with the other's own sentence."""
    said = error.details() or error.code().name
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        path = getattr(method, "_method", b"").decode()
        return errors.FailedPrecondition(f"{path} is not served here, and is needed: start that service too")
    if error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
        return errors.Unavailable(f"another service did not answer in time: {said}")
    return BY_STATUS.get(error.code(), errors.CultivarError)(said, reason=reason_of(error))


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Returns the reason in the details of a failed call; empty where there is none."""
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status is not None else ():
        if detail.Unpack(info):
            return str(info.reason)
    return ""
