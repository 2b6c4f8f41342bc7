"""What every call passes through: identity and role, errors to status, log line, metrics and the server's version.

The version is trailing metadata, `cultivar-version`: a call whose initial metadata were sent would not be retried.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import grpc
from cultivar.auth.v1 import auth_pb2
from google.protobuf.descriptor_pool import Default
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from cultivar_service.draining import Calls
from cultivar_service.errors import CultivarError, InvalidArgument
from cultivar_service.logs import log
from cultivar_service.metrics import CALL_SECONDS, CALLS
from cultivar_service.names import new_id, project_of
from cultivar_service.principal import STRANGER, Authenticator, bearer, current_principal
from cultivar_service.translate import translate

VERSION_KEY = "cultivar-version"
VERSION = ((VERSION_KEY, version("cultivar")),)
OPEN_SERVICES = (
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
    "grpc.reflection.v1.ServerReflection",
)


def least_roles(services: list[str]) -> dict[str, "auth_pb2.Role.ValueType"]:
    """Returns the least role of each method of some services; raises ValueError for an rpc that states none."""
    roles: dict[str, auth_pb2.Role.ValueType] = {}
    for service in services:
        for method in Default().FindServiceByName(service).methods:
            role = method.GetOptions().Extensions[auth_pb2.least_role]
            if role == auth_pb2.ROLE_UNSPECIFIED:
                raise ValueError(f"{service}/{method.name} states no least_role: add the option to its proto")
            roles[f"/{service}/{method.name}"] = role
    return roles


def project_of_request(request: Any) -> str:
    """Returns the project that a request names in `name` or `parent`."""
    for field in ("name", "parent"):
        if field in request.DESCRIPTOR.fields_by_name:
            return project_of(getattr(request, field), field)
    raise InvalidArgument("the request names no project: it has neither `name` nor `parent`")


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps each handler; unknown methods are refused by the server itself."""

    def __init__(
        self, authenticator: Authenticator, roles: Mapping[str, "auth_pb2.Role.ValueType"], calls: Calls
    ) -> None:
        self._authenticator = authenticator
        self._roles = roles
        self._calls = calls

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Any], details: grpc.HandlerCallDetails
    ) -> Any:
        """Returns the handler of a call, wrapped; health and reflection are open."""
        handler = await continuation(details)
        if handler is None:
            return None
        if details.method.split("/")[1] in OPEN_SERVICES:
            return with_version(handler) if handler.unary_unary else handler
        metadata = {key: str(value) for key, value in details.invocation_metadata or ()}
        return self._wrap(handler, details.method, metadata)

    async def _admit(self, request: Any, method: str, metadata: Mapping[str, str]) -> None:
        project, least = project_of_request(request), self._roles[method]
        if least == auth_pb2.ROLE_ANYONE:
            current_principal.set(STRANGER)
            return
        token = bearer(metadata)
        principal = await self._authenticator.authenticate(token)
        if principal.role(project) < least:
            # Who was given a role a moment ago is not sent away for what was known before.
            principal = await self._authenticator.authenticate(token, fresh=True)
        principal.require(project, least)
        current_principal.set(principal)

    def _wrap(self, handler: Any, method: str, metadata: Mapping[str, str]) -> Any:
        async def unary(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            async with self._observed(method, context):
                await self._admit(request, method, metadata)
                return await handler.unary_unary(request, context)

        async def stream(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            async with self._observed(method, context):
                await self._admit(request, method, metadata)
                responses = handler.unary_stream(request, context)
                watching = method.rpartition("/")[2].startswith("Watch")
                async for response in self._calls.until_drained(responses) if watching else responses:
                    yield response

        async def upload(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            async with self._observed(method, context):
                first = await anext(aiter(requests), None)
                if first is None:
                    raise InvalidArgument("the stream is empty: send at least one message")
                await self._admit(first, method, metadata)
                return await handler.stream_unary(after(first, requests), context)

        coding = (handler.request_deserializer, handler.response_serializer)
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(upload, *coding)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, *coding)
        return grpc.unary_unary_rpc_method_handler(unary, *coding)

    @asynccontextmanager
    async def _observed(self, method: str, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
        with self._calls.counted():
            async with observed(method, context):
                yield


async def after(first: Any, rest: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yields a message that was read already, then the rest of its stream."""
    yield first
    async for message in rest:
        yield message


def with_version(handler: Any) -> Any:
    """Returns a handler whose answer says the server's version too."""

    async def unary(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        context.set_trailing_metadata(VERSION)
        return await handler.unary_unary(request, context)

    return grpc.unary_unary_rpc_method_handler(unary, handler.request_deserializer, handler.response_serializer)


@asynccontextmanager
async def observed(method: str, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """Maps what a call raises to its status, logs it with an id, and measures it."""
    started, code, call = time.perf_counter(), grpc.StatusCode.OK, new_id()
    context.set_trailing_metadata(VERSION)
    try:
        yield
    except Exception as error:
        known = translate(error)
        code = known.status
        if not isinstance(error, CultivarError) and type(known) is CultivarError:
            log.error("call_crashed", call=call, method=method, exc_info=error)
        said: Any = rpc_status.to_status(status_of(known, call))
        await context.abort_with_status(said._replace(trailing_metadata=(*said.trailing_metadata, *VERSION)))
    except BaseException:
        code = grpc.StatusCode.CANCELLED
        raise
    finally:
        seconds = time.perf_counter() - started
        CALLS.labels(method, code.name).inc()
        CALL_SECONDS.labels(method).observe(seconds)
        log.info("call", call=call, method=method, code=code.name, seconds=round(seconds, 4))


def status_of(error: CultivarError, call: str) -> status_pb2.Status:
    """Returns the rich status of an error: ErrorInfo, and BadRequest where a field is wrong."""
    status = status_pb2.Status(code=code_pb2.Code.Value(error.status.name), message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain="cultivar", metadata={"call": call})
    status.details.add().Pack(info)
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.message)
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    return status
