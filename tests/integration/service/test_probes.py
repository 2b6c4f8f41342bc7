"""What a cluster asks of a process: whether it lives and whether it is ready, on a port where nothing else answers."""

import socket
from typing import Any

import grpc
import pytest
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.generation.v1 import generation_pb2_grpc
from cultivar_generation.__main__ import build
from cultivar_service.errors import StartError
from cultivar_service.probes import LIVE
from cultivar_service.serving import Host
from cultivar_service.settings import Settings
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.conftest import Start

SERVING = health_pb2.HealthCheckResponse.SERVING


async def status(address: str, service: str = "") -> int:
    """What a probe hears."""
    async with grpc.aio.insecure_channel(address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
    return int(answer.status)


async def test_a_probe_hears_that_a_service_lives_and_that_it_is_ready(start: Start) -> None:
    host = await start(build, health_port=0)
    assert await status(host.listening.health, LIVE) == SERVING
    assert await status(host.listening.health) == SERVING


async def test_a_service_that_has_not_started_lives_and_is_not_ready(settings: Settings) -> None:
    host = Host(settings.model_copy(update={"health_port": 0}))

    async def look_and_fail(parts: Any) -> Any:
        seen.append((await status(host.listening.health, LIVE), await status(host.listening.health)))
        raise StartError("something is missing")

    seen: list[tuple[int, int]] = []
    with pytest.raises(StartError):
        await host.start([look_and_fail])
    await host.stop()
    assert seen == [(SERVING, health_pb2.HealthCheckResponse.NOT_SERVING)]


async def test_nothing_but_health_answers_where_probes_come_in(start: Start) -> None:
    host = await start(build, health_port=0)
    async with grpc.aio.insecure_channel(host.listening.health) as channel:
        stub: Any = generation_pb2_grpc.GenerationServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ListPrompts(pb.ListPromptsRequest(parent="projects/default"))
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_a_port_for_probes_that_is_taken_is_named(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} .* is in use.*CULTIVAR_HEALTH_PORT"):
            Host(settings.model_copy(update={"health_port": port}))
