"""How a client reaches services: load balancing, retries and deadlines by service config, TLS, and the token."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc

from cultivar.campaigns.v1 import campaigns_pb2
from cultivar.connection import ANY_SERVICE, Connection, addresses_of
from cultivar.datasets.v1 import datasets_pb2
from cultivar.errors import NotConnected
from cultivar.evaluation.v1 import evaluation_pb2
from cultivar.filtering.v1 import filtering_pb2
from cultivar.generation.v1 import generation_pb2
from cultivar.identity.v1 import identity_pb2
from cultivar.review.v1 import review_pb2
from cultivar.training.v1 import training_pb2

PROTOS = (
    campaigns_pb2,
    datasets_pb2,
    evaluation_pb2,
    filtering_pb2,
    generation_pb2,
    identity_pb2,
    review_pb2,
    training_pb2,
)
CALL_SECONDS = 60
LONG_CALL_SECONDS = 600
STREAM_SECONDS = 24 * 3600
LONG_CALLS = (
    "Audit",
    "CollectGarbage",
    "DiffDatasetVersions",
    "Preview",
    "RecordPromptOutcomes",
    "RegisterTeacher",
    "TraceExample",
)
Serializer = Callable[[Any], bytes]
LOOPBACK = ("localhost", "127.", "[::1]", "::1")
# Only UNAVAILABLE: the call did not take effect, or it is repeatable, by its token, its digest or its request_id.
RETRY = {
    "maxAttempts": 5,
    "initialBackoff": "0.2s",
    "maxBackoff": "3s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def method_config() -> list[dict[str, Any]]:
    """Returns deadlines and retries: those of a short call for all methods, and longer ones for what takes longer."""
    names: dict[int, list[dict[str, str]]] = {CALL_SECONDS: [{}], LONG_CALL_SECONDS: [], STREAM_SECONDS: []}
    for proto in PROTOS:
        for service in proto.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                name = {"service": service.full_name, "method": method.name}
                if method.client_streaming or method.server_streaming:
                    names[STREAM_SECONDS].append(name)
                elif method.name in LONG_CALLS:
                    names[LONG_CALL_SECONDS].append(name)
    return [{"name": of, "timeout": f"{seconds}s", "retryPolicy": RETRY} for seconds, of in names.items()]


SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    # A replica that says NOT_SERVING, as one does that goes down, is left out at once.
    "healthCheckConfig": {"serviceName": ""},
    "methodConfig": method_config(),
}
OPTIONS: list[tuple[str, Any]] = [
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.enable_retries", 1),
    ("grpc.max_receive_message_length", 8 << 20),
    # A machine that is gone without a word is noticed.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    # A replica that comes in the place of another has another address, which is asked for at once, not after 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 500),
]


def options_of(connection: Connection) -> list[tuple[str, Any]]:
    """Returns the options of a channel."""
    named = [("grpc.ssl_target_name_override", connection.tls_name)] if connection.tls_name else []
    return [*OPTIONS, *named]


def credentials(connection: Connection, address: str) -> grpc.ChannelCredentials:
    """Returns credentials that send the bearer token, if any, with each call: over TLS, or plainly on loopback.

    Loopback goes without TLS where no CA is named. Raises NotConnected where the CA cannot be read.
    """
    if not connection.tls_ca and is_loopback(address):
        transport = grpc.local_channel_credentials(grpc.LocalConnectionType.LOCAL_TCP)
    else:
        transport = grpc.ssl_channel_credentials(read_ca(connection.tls_ca))
    if not connection.token:
        return transport
    return grpc.composite_channel_credentials(transport, grpc.access_token_call_credentials(connection.token))


class Bearer(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamUnaryClientInterceptor):
    """Sends the token that is valid when a call is made; what its source raises, the call raises.

    Credentials of the channel would be asked for health checks too, and a call would wait for these until its deadline.
    """

    def __init__(self, tokens: Callable[[], str]) -> None:
        self._tokens = tokens

    def _intercept(self, continuation: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        metadata = (*(details.metadata or ()), ("authorization", f"Bearer {self._tokens()}"))
        return continuation(details._replace(metadata=metadata), request)

    intercept_unary_unary: Any = _intercept
    intercept_unary_stream: Any = _intercept
    intercept_stream_unary: Any = _intercept


def secure_channel(connection: Connection) -> Callable[..., grpc.Channel]:
    """Returns what opens a channel whose calls carry the token of a connection."""
    tokens = connection.tokens
    if tokens is None:
        return grpc.secure_channel
    return lambda *given, **named: grpc.intercept_channel(grpc.secure_channel(*given, **named), Bearer(tokens))


def read_ca(path: str) -> bytes | None:
    """Returns the certificate of a CA, None for the system's; raises NotConnected where it cannot be read."""
    try:
        return Path(path).read_bytes() if path else None
    except OSError as error:
        raise NotConnected(
            f"{path} cannot be read: {error.strerror}; name the CA's certificate in CULTIVAR_TLS_CA"
        ) from error


def is_loopback(address: str) -> bool:
    """Tells whether an address is of this machine alone."""
    hosts = re.sub(r"^(dns|ipv4|ipv6):/*", "", address).split(",")
    return all(host.startswith(LOOPBACK) for host in hosts)


class Routes:
    """Reaches each service at its own address, as though all of them were behind one channel.

    A request that makes something and has no `request_id` is sent with one, so that a retry makes nothing twice.
    """

    def __init__(self, connection: Connection, secure_channel: Callable[..., Any]) -> None:
        self._connection = connection
        self._addresses = addresses_of(connection.address)
        self._secure_channel = secure_channel
        self._opened: dict[str, Any] = {}

    @property
    def opened(self) -> Sequence[Any]:
        """The channels that were opened so far."""
        return list(self._opened.values())

    def of(self, service: str) -> Any:
        """Returns the channel to a service, by its short name; raises NotConnected where it has no address."""
        address = self._addresses.get(service) or self._addresses.get(ANY_SERVICE, "").replace("{service}", service)
        if not address:
            raise NotConnected(f"the service {service} has no address: add {service}=HOST:PORT to the others")
        if address not in self._opened:
            secured = credentials(self._connection, address)
            self._opened[address] = self._secure_channel(address, secured, options=options_of(self._connection))
        return self._opened[address]

    def unary_unary(self, method: str, request_serializer: Serializer, *given: Any, **named: Any) -> Any:
        """Returns what makes a call."""
        return self._route(method).unary_unary(method, with_request_id(request_serializer), *given, **named)

    def unary_stream(self, method: str, *given: Any, **named: Any) -> Any:
        """Returns what makes a call that is answered by a stream."""
        return self._route(method).unary_stream(method, *given, **named)

    def stream_unary(self, method: str, *given: Any, **named: Any) -> Any:
        """Returns what makes a call that sends a stream."""
        return self._route(method).stream_unary(method, *given, **named)

    def _route(self, method: str) -> Any:
        # /cultivar.generation.v1.GenerationService/Preview; health and reflection are asked of any service.
        parts = method.split(".")
        return self.of(parts[1] if parts[0] == "/cultivar" else ANY_SERVICE)

    def close(self) -> None:
        """Closes every channel."""
        for channel in self._opened.values():
            channel.close()


def with_request_id(serialize: Serializer) -> Serializer:
    """Returns a serializer that gives a new `request_id` to a request that could have one and has none."""

    def serialized(request: Any) -> bytes:
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
            told = type(request)()
            told.CopyFrom(request)
            told.request_id = uuid4().hex
            request = told
        return serialize(request)

    return serialized
