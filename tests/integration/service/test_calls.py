"""What every call meets: identity, roles, errors with their details, health, reflection, metrics."""

import asyncio
import stat
import urllib.request
from importlib.metadata import version
from typing import Any

import grpc
import pytest
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.generation.v1 import generation_pb2_grpc
from cultivar_generation.__main__ import build
from cultivar_service.errors import StartError
from cultivar_service.peers import open_channel
from cultivar_service.serving import Host
from cultivar_service.settings import Settings
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status
from sqlalchemy import text

from tests.conftest import Start

LIST = pb.ListPromptsRequest(parent="projects/default")


def stub(channel: Any) -> Any:
    """The generation service over a channel."""
    return generation_pb2_grpc.GenerationServiceStub(channel)


@pytest.mark.parametrize("token", ["", "wrong", "x" * 5000])
async def test_a_call_without_the_right_token_is_refused(start: Start, token: str) -> None:
    host = await start(build)
    metadata = [("authorization", f"Bearer {token}")] if token else []
    async with grpc.aio.insecure_channel(host.listening.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub(channel).ListPrompts(LIST, metadata=metadata)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_the_token_file_can_be_read_by_its_owner_alone(start: Start, settings: Settings) -> None:
    await start(build)
    assert stat.S_IMODE(settings.token_file.stat().st_mode) == 0o600


@pytest.mark.parametrize("parent", ["", "default", "projects/", "projects/UPPER", "projects/../x", "organisations/a"])
async def test_a_request_that_names_no_project_is_refused_with_the_field(start: Start, parent: str) -> None:
    host = await start(build)
    assert host.parts is not None
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub(host.parts.channel).ListPrompts(pb.ListPromptsRequest(parent=parent))
    status = rpc_status.from_call(refused.value)
    assert status is not None
    bad = error_details_pb2.BadRequest()
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad)
    assert (info.domain, bad.field_violations[0].field) == ("cultivar", "parent")


async def test_an_error_names_no_text_of_the_request_and_no_stack(start: Start) -> None:
    host = await start(build)
    assert host.parts is not None
    prompt = pb.Prompt(form=pb.PROMPT_FORM_CHAT, template="{{ ''.__class__.__mro__ }} {% for %}")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub(host.parts.channel).CreatePrompt(
            pb.CreatePromptRequest(parent="projects/default", prompt_id="evil", prompt=prompt)
        )
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "Traceback" not in (refused.value.details() or "")


async def test_a_prompt_again_is_the_same_version_and_another_text_the_next(start: Start) -> None:
    host = await start(build)
    assert host.parts is not None

    async def create(template: str, request_id: str = "") -> pb.Prompt:
        assert host.parts is not None
        return await stub(host.parts.channel).CreatePrompt(  # type: ignore[no-any-return]
            pb.CreatePromptRequest(
                parent="projects/default",
                prompt_id="mine",
                prompt=pb.Prompt(form=pb.PROMPT_FORM_CHAT, template=template),
                request_id=request_id,
            )
        )

    first, again, other = await create("say {{ text }}"), await create("say {{ text }}"), await create("{{ text }}!")
    assert (first.name, again.name, other.version) == ("projects/default/prompts/mine@1", first.name, 2)
    assert (await create("three", "r")).version == (await create("three", "r")).version == 3
    with pytest.raises(grpc.aio.AioRpcError):
        await create("four", "r")


async def test_health_reflection_and_metrics_answer_without_a_token(start: Start) -> None:
    host = await start(build)
    async with grpc.aio.insecure_channel(host.listening.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with urllib.request.urlopen(f"http://{host.listening.metrics}/metrics") as page:
        assert b"cultivar_calls_total" in page.read()


async def test_reflection_can_be_switched_off(start: Start) -> None:
    hosts = [await start(build), await start(build, reflection=False)]
    found = []
    for host in hosts:
        with grpc.insecure_channel(host.listening.address) as channel:
            try:
                found.append(len(list(await _services(channel))))
            except grpc.RpcError:
                found.append(0)
    assert found[0] > 1
    assert found[1] == 0


async def _services(channel: grpc.Channel) -> Any:
    return await asyncio.to_thread(lambda: list(ProtoReflectionDescriptorDatabase(channel).get_services()))


async def test_a_port_in_use_is_said_in_one_sentence(start: Start, settings: Settings) -> None:
    host = await start(build)
    port = int(host.listening.address.rpartition(":")[2])
    with pytest.raises(StartError, match=f"port {port} of 127.0.0.1 is in use.*--port or CULTIVAR_PORT"):
        Host(settings.model_copy(update={"port": port}))


async def test_a_database_that_does_not_answer_is_said_in_one_sentence(settings: Settings) -> None:
    host = Host(settings.model_copy(update={"database_url": "postgresql://postgres@127.0.0.1:9/none"}))
    with pytest.raises(StartError, match="CULTIVAR_DATABASE_URL"):
        await host.start([build])


async def test_calls_of_another_process_use_the_token(start: Start) -> None:
    host = await start(build)
    channel = open_channel(host.listening.address, host.token)
    assert (await stub(channel).ListPrompts(LIST)).prompts
    await channel.close()


async def test_every_answer_says_the_version_of_the_server(start: Start) -> None:
    host = await start(build)
    async with grpc.aio.insecure_channel(host.listening.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        run = pb.WatchGenerationRunRequest(name="projects/default/generationRuns/none")
        token = [("authorization", f"Bearer {host.token}")]
        for call, code in (
            (stub(channel).ListPrompts(LIST, metadata=token), grpc.StatusCode.OK),
            (stub(channel).ListPrompts(LIST), grpc.StatusCode.UNAUTHENTICATED),
            (stub(channel).WatchGenerationRun(run, metadata=token), grpc.StatusCode.NOT_FOUND),
            (health.Check(health_pb2.HealthCheckRequest()), grpc.StatusCode.OK),
        ):
            assert await call.code() == code
            assert dict(await call.trailing_metadata())["cultivar-version"] == version("cultivar")


async def test_a_service_opens_no_more_connections_than_its_setting_says(start: Start) -> None:
    host = await start(build, database_connections=3)
    database = host.services[0].database
    assert database is not None

    async def backend() -> int:
        async with database.begin() as connection:
            return int(await connection.scalar(text("SELECT pg_backend_pid() FROM pg_sleep(0.1)")) or 0)

    assert len(set(await asyncio.gather(*(backend() for _ in range(12))))) == 3
