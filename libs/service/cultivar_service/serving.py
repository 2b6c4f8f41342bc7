"""Serves one or several services in one process until SIGTERM, and drains them."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import grpc
from cultivar.auth.v1 import auth_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server

from cultivar_service.errors import Unavailable
from cultivar_service.interceptors import CallInterceptor, least_roles
from cultivar_service.logs import configure_logs, log
from cultivar_service.parts import Build, Parts, Service, StartError, open_parts
from cultivar_service.principal import LocalToken, local_token
from cultivar_service.settings import Settings

READY_SECONDS = 5.0


@dataclass(frozen=True)
class Listening:
    """Where a process listens."""

    address: str
    metrics: str


class Host:
    """One process that serves some services on one port."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.token = local_token(settings.token_file)
        self._roles: dict[str, auth_pb2.Role.ValueType] = {}
        self._server = grpc.aio.server(
            interceptors=[CallInterceptor(LocalToken(self.token), self._roles)],
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 8 << 20)],
        )
        self._health = health.aio.HealthServicer()
        self.services: list[Service] = []
        self.parts: Parts | None = None
        self.listening = Listening(*self._bind())

    def _bind(self) -> tuple[str, str]:
        host = self.settings.host
        try:
            port = self._server.add_insecure_port(f"{host}:{self.settings.port}")
        except RuntimeError as error:
            raise StartError(in_use(host, self.settings.port, "port")) from error
        try:
            metrics, _ = start_http_server(self.settings.metrics_port, host)
        except OSError as error:
            raise StartError(in_use(host, self.settings.metrics_port, "metrics-port")) from error
        return f"{host}:{port}", f"{host}:{metrics.server_port}"

    async def start(self, builds: Sequence[Build], prepare: Callable[[Parts], None] = lambda parts: None) -> None:
        """Builds the services and serves them; `prepare` may set parts that only this process has."""
        try:
            self.parts = await open_parts(self.settings, self.listening.address, self.token)
        except Unavailable as error:
            raise StartError("the database does not answer: check CULTIVAR_DATABASE_URL, and that it runs") from error
        prepare(self.parts)
        for build in builds:
            await self._mount(await build(self.parts))
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
        self.watching = asyncio.create_task(self._watch_readiness(names))

    async def _mount(self, service: Service) -> None:
        service.add(self._server)
        self.services.append(service)

    async def _watch_readiness(self, names: Sequence[str]) -> None:
        """Shows NOT_SERVING while the database does not answer; liveness does not depend on it."""
        databases = [service.database for service in self.services if service.database is not None]
        while True:
            answers = not databases or await databases[0].answers()
            status = health_pb2.HealthCheckResponse.SERVING if answers else health_pb2.HealthCheckResponse.NOT_SERVING
            for name in ("", *names):
                await self._health.set(name, status)
            await asyncio.sleep(READY_SECONDS)

    async def stop(self) -> None:
        """Drains: health first, then runs are given back, calls end, and everything is closed."""
        self.watching.cancel()
        await self._health.enter_graceful_shutdown()
        for service in self.services:
            if service.stop is not None:
                await service.stop()
        await asyncio.gather(*(service.engine.drain() for service in self.services if service.engine is not None))
        await self._server.stop(self.settings.drain_seconds)
        if self.parts is not None:
            await self.parts.stack.aclose()


def in_use(host: str, port: int, flag: str) -> str:
    """Returns the sentence for a port that is taken."""
    variable = f"CULTIVAR_{flag.upper().replace('-', '_')}"
    return f"port {port} of {host} is in use: stop what listens there, or choose another with --{flag} or {variable}"


async def until_signal() -> None:
    """Waits for SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


async def serve(settings: Settings, *builds: Build) -> None:
    """Serves until SIGTERM or SIGINT."""
    host = Host(settings)
    await host.start(builds)
    log.info("serving", address=host.listening.address, metrics=host.listening.metrics)
    await until_signal()
    await host.stop()


def main(settings: Settings, *builds: Build) -> None:
    """Runs a service as a program; a missing part ends it with one sentence and status 1."""
    configure_logs(settings.log_format)
    with suppress(KeyboardInterrupt):
        try:
            asyncio.run(serve(settings, *builds))
        except StartError as error:
            raise SystemExit(f"cultivar: {error}") from error
