"""Serves one or several services in one process until SIGTERM, and drains them."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
from cultivar.auth.v1 import auth_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server

from cultivar_service.database import no_database
from cultivar_service.draining import Calls
from cultivar_service.errors import StartError, Unavailable
from cultivar_service.identity import open_identity
from cultivar_service.interceptors import CallInterceptor, least_roles
from cultivar_service.logs import configure_logs, log
from cultivar_service.parts import Build, Parts, Service, open_parts
from cultivar_service.probes import Probes
from cultivar_service.settings import Settings
from cultivar_service.tls import server_credentials

READY_SECONDS = 5.0
TOLD_SECONDS = 0.3
END_SECONDS = 0.5
YOUNG_OBJECTS = 50_000
OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 8 << 20),
    # Clients resolve the address again, and so find replicas that were added.
    ("grpc.max_connection_age_ms", 300_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
]


@dataclass(frozen=True)
class Listening:
    """Where a process listens."""

    address: str
    metrics: str
    health: str = ""


class Host:
    """One process that serves some services on one port."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.identity = open_identity(settings)
        self.token = self.identity.token
        self._roles: dict[str, auth_pb2.Role.ValueType] = {}
        self._calls = Calls()
        self._server = grpc.aio.server(
            interceptors=[CallInterceptor(self.identity.authenticator, self._roles, self._calls)], options=OPTIONS
        )
        self._health = health.aio.HealthServicer()
        self.services: list[Service] = []
        self.parts: Parts | None = None
        self._probes: Probes | None = None
        self._watching: asyncio.Task[None] | None = None
        self.listening = self._bind()

    def _bind(self) -> Listening:
        host = self.settings.host
        try:
            port = self._add_port(f"{host}:{self.settings.port}")
        except RuntimeError as error:
            raise StartError(in_use(host, self.settings.port, "port")) from error
        try:
            metrics, _ = start_http_server(self.settings.metrics_port, host)
        except OSError as error:
            raise StartError(in_use(host, self.settings.metrics_port, "metrics-port")) from error
        return Listening(f"{host}:{port}", f"{host}:{metrics.server_port}", self._bind_probes(host))

    def _bind_probes(self, host: str) -> str:
        wanted = self.settings.health_port
        if wanted is None:
            return ""
        try:
            self._probes = Probes(self._health, f"{host}:{wanted}")
        except RuntimeError as error:
            raise StartError(in_use(host, wanted, "health-port")) from error
        return f"{host}:{self._probes.port}"

    def _add_port(self, address: str) -> int:
        if self.settings.tls_certificate is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, server_credentials(self.settings))

    async def start(self, builds: Sequence[Build], prepare: Callable[[Parts], None] = lambda parts: None) -> None:
        """Builds the services and serves them; `prepare` may set parts that only this process has."""
        if self._probes is not None:
            await self._probes.start()
        try:
            self.parts = open_parts(self.settings, self.listening.address, self.identity)
            prepare(self.parts)
            for build in builds:
                await self._mount(await build(self.parts))
            await self.parts.require_bucket()
        except Unavailable as error:
            raise StartError(no_database(error)) from error
        names = [package for service in self.services for package in service.packages]
        self._roles.update(least_roles(names))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if self.settings.reflection:
            reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)
        await self._server.start()
        for service in self.services:
            if service.engine is not None:
                service.engine.start()
            if service.start is not None:
                await service.start()
        await self._tell_readiness(names)
        self._watching = asyncio.create_task(self._watch_readiness(names))

    async def _mount(self, service: Service) -> None:
        service.add(self._server)
        self.services.append(service)

    async def _watch_readiness(self, names: Sequence[str]) -> None:
        while True:
            await asyncio.sleep(READY_SECONDS)
            await self._tell_readiness(names)

    async def _tell_readiness(self, names: Sequence[str]) -> None:
        """Shows NOT_SERVING while the database does not answer; liveness does not depend on it."""
        databases = [service.database for service in self.services if service.database is not None]
        answers = not databases or await databases[0].answers()
        status = health_pb2.HealthCheckResponse.SERVING if answers else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *names):
            await self._health.set(name, status)

    async def stop(self) -> None:
        """Drains: health first, then runs are given back, calls end, and everything is closed."""
        if self._watching is not None:
            self._watching.cancel()
            await self._health.enter_graceful_shutdown()
            await self._drain()
        if self.parts is not None:
            await self.parts.close_channel()
        # What is left are health checks, which would watch for ever, and calls that came in this moment.
        await self._server.stop(END_SECONDS)
        if self._probes is not None:
            await self._probes.stop()
        if self.parts is not None:
            await self.parts.stack.aclose()

    async def _drain(self) -> None:
        for service in self.services:
            if service.stop is not None:
                await service.stop()
        # Whoever balances its calls over replicas hears of it before this one takes none any more.
        told = asyncio.sleep(TOLD_SECONDS if self.settings.peers else 0)
        engines = [service.engine for service in self.services if service.engine is not None]
        await asyncio.gather(told, *(engine.drain() for engine in engines))
        await self._calls.drain(self.settings.drain_seconds)


def in_use(host: str, port: int, flag: str) -> str:
    """Returns the sentence for a port that is taken."""
    variable = f"CULTIVAR_{flag.upper().replace('-', '_')}"
    return f"port {port} of {host} is in use: stop what listens there, or choose another with --{flag} or {variable}"


async def until_signal() -> None:
    """Waits for SIGTERM or SIGINT; garbage is collected seldom, and what the process has loaded is left out of it."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # A full collection walks over all that was imported and stops every call for 0.2 seconds meanwhile.
    gc.collect()
    gc.freeze()
    # Rows live for seconds: to look through the youngest objects at every 700 of them takes a tenth of all time. At
    # 50,000 it takes a fortieth, and one look 50 ms.
    gc.set_threshold(YOUNG_OBJECTS)
    try:
        await stop.wait()
    finally:
        # Else what is frozen outlives the interpreter, and libraries that count their objects print a page about it.
        gc.unfreeze()


async def serve(settings: Settings, *builds: Build) -> None:
    """Serves until SIGTERM or SIGINT."""
    host = Host(settings)
    try:
        await host.start(builds)
    except StartError:
        await host.stop()
        raise
    log.info("serving", address=host.listening.address, metrics=host.listening.metrics)
    await until_signal()
    await host.stop()


def main(settings_type: type[Settings], *builds: Build) -> None:
    """Runs a service as a program; a missing part ends it with one sentence and status 1."""
    with suppress(KeyboardInterrupt):
        try:
            settings = settings_type.from_command_line(f"python -m {Path(sys.argv[0]).parent.name}")
            configure_logs(settings.log_format)
            asyncio.run(serve(settings, *builds))
        except StartError as error:
            raise SystemExit(f"cultivar: {error}") from error
