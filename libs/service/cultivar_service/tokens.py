"""The token that a call carries: a service's own, or that of the person for whom the console calls."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

import grpc

from cultivar_service.errors import Unauthenticated

current_token: ContextVar[str] = ContextVar("token")


class Tokens(Protocol):
    """Gives the token of the next call."""

    async def token(self) -> str:
        """Returns a token that is valid now."""
        ...


class PersonTokens:
    """The token of whoever is signed in where the call is made."""

    async def token(self) -> str:
        """Returns the token; raises Unauthenticated where nobody is signed in."""
        found = current_token.get("")
        if not found:
            raise Unauthenticated("nobody is signed in: sign in again")
        return found


class BearerUnary(grpc.aio.UnaryUnaryClientInterceptor):
    """Sends a token with each call that has one answer."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        """Adds the token to a call."""
        return await continuation(await carrying(client_call_details, self._tokens), request)


class BearerStream(grpc.aio.UnaryStreamClientInterceptor):
    """Sends a token with each call whose answers are a stream."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        """Adds the token to a call."""
        return await continuation(await carrying(client_call_details, self._tokens), request)


class BearerUpload(grpc.aio.StreamUnaryClientInterceptor):
    """Sends a token with each call whose requests are a stream."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_stream_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Adds the token to a call."""
        return await continuation(await carrying(client_call_details, self._tokens), request_iterator)


async def carrying(details: Any, tokens: Tokens) -> Any:
    """Returns the details of a call with the token added."""
    metadata = grpc.aio.Metadata(*(details.metadata or ()), ("authorization", f"Bearer {await tokens.token()}"))
    return details._replace(metadata=metadata)


def bearers(tokens: Tokens) -> list[Any]:
    """Returns the interceptors of a channel whose calls carry tokens."""
    return [BearerUnary(tokens), BearerStream(tokens), BearerUpload(tokens)]
