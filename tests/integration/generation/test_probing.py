"""RegisterTeacher asks a teacher a few questions and says in words what is wrong with it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.generation.v1 import generation_pb2_grpc
from cultivar_generation import probing
from cultivar_generation.__main__ import build
from cultivar_models.fake import FakeSettings, FakeTeacher

from tests.conftest import Start
from tests.terminal import Terminal

PARENT = "projects/default"
OPTIONS = (
    *("--model", "gpt", "--url", "http://127.0.0.1:9/v1?api-version=1", "--no-probe"),
    *("--header", "api-key=env:AZURE_API_KEY", "--request-field", "top_k=40", "--request-field", "top_p=null"),
)
READY = "1. apple\n2. pear\n3. plum"


@asynccontextmanager
async def saying(
    word: str, listed: str, prose: str = "One paragraph.", pause: float = 0, models: int = 200
) -> AsyncIterator[str]:
    """Serves a model that answers the questions of a probe as told, prose after a pause; yields its URL.

    It breaks over a JSON schema; models: the status of its list of models.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        asked = (await reader.readexactly(int(length.group(1)))).decode() if length else ""
        text = word if "one word" in asked else listed if "numbered list" in asked else prose
        await asyncio.sleep(pause if text is prose else 0)
        said: dict[str, Any] = {"choices": [{"message": {"content": text}}], "usage": {"completion_tokens": 20}}
        body = json.dumps({"data": [{"id": "m"}]} if head.startswith("GET") else said).encode()
        status = models if head.startswith("GET") else 500 if "response_format" in asked else 200
        writer.write(b"HTTP/1.1 %d OK\r\nConnection: close\r\n" % status)
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


@pytest.fixture
async def register(start: Start) -> Any:
    """Registers a teacher and returns what came of the questions."""
    host = await start(build)
    assert host.parts is not None
    stub: Any = generation_pb2_grpc.GenerationServiceStub(host.parts.channel)

    async def registering(url: str, skip_probe: bool = False, **given: Any) -> pb.TeacherProbe:
        teacher = pb.Teacher(**{"url": url, "model": "m", **given})
        request = pb.RegisterTeacherRequest(parent=PARENT, teacher_id="t", teacher=teacher, skip_probe=skip_probe)
        made = await stub.RegisterTeacher(request)
        assert await stub.GetTeacher(pb.GetTeacherRequest(name=made.name)) == made
        return made.probe

    return registering


async def test_a_teacher_that_does_as_it_is_asked_is_fine_and_its_speed_is_told(register: Any) -> None:
    async with saying("Ready.", READY) as url:
        probe = await register(url)
    assert (probe.state, list(probe.problems)) == (pb.TEACHER_STATE_FINE, [])
    assert probe.tokens_per_second > 0 and probe.latency_seconds > 0


async def test_a_teacher_that_is_slow_with_several_answers_is_poor_and_not_wrong(
    register: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "SPEED_SECONDS", 0.2)
    async with saying("Ready.", READY, pause=1) as url:
        probe = await register(url)
    assert probe.state == pb.TEACHER_STATE_POOR and "lower its concurrency" in probe.problems[0]
    assert probe.tokens_per_second == 0


@pytest.mark.parametrize(
    ("word", "listed", "state", "sentence"),
    [
        ("ready<|im_end|>\n<|im_start|>user", READY, pb.TEACHER_STATE_WRONG, "with its own chat template"),
        ("[INST] ready", READY, pb.TEACHER_STATE_WRONG, "'[INST]', a mark between turns"),
        ("I am an assistant and glad to help.", READY, pb.TEACHER_STATE_POOR, "it said 'I am an assistant"),
        ("ready", "I like apples, pears and plums.", pb.TEACHER_STATE_POOR, "use prompts of the form CONTINUATION"),
    ],
)
async def test_what_is_wrong_with_its_answers_is_said_with_what_to_do(
    register: Any, word: str, listed: str, state: Any, sentence: str
) -> None:
    async with saying(word, listed) as url:
        probe = await register(url)
    assert probe.state == state and sentence in " ".join(probe.problems)


async def test_a_teacher_that_is_not_there_is_registered_and_said_to_be_wrong_soon(register: Any) -> None:
    probe = await asyncio.wait_for(register("http://127.0.0.1:9/v1"), 20)
    assert probe.state == pb.TEACHER_STATE_WRONG and "could not be reached" in probe.problems[0]


async def test_a_refused_key_and_an_unknown_model_are_told_apart(
    register: Any, teacher: FakeTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher.settings = FakeSettings(api_key="right")
    monkeypatch.setenv("TEACHER_KEY", "wrong")
    refused = await register(teacher.url, credential="env:TEACHER_KEY")
    assert refused.state == pb.TEACHER_STATE_WRONG and "key" in refused.problems[0]
    absent = await register(teacher.url, credential="env:NOT_SET_ANYWHERE")
    assert "set env:NOT_SET_ANYWHERE" in absent.problems[0]
    monkeypatch.setenv("TEACHER_KEY", "right")
    unknown = await register(teacher.url, credential="env:TEACHER_KEY", model="large")
    assert unknown.state == pb.TEACHER_STATE_WRONG and "large" in " ".join(unknown.problems)


async def test_the_terms_of_a_server_are_found_out_and_told(register: Any, teacher: FakeTeacher) -> None:
    probe = await register(teacher.url, model="fake-teacher")
    assert not probe.chat_only
    teacher.settings = FakeSettings(
        completions=False, counts_tokens=False, thinks="closed", refused_fields=("max_tokens", "temperature")
    )
    probe = await register(teacher.url, model="fake-teacher")
    assert probe.chat_only and probe.tokens_per_second > 0
    said = " ".join(probe.problems)
    assert "it refuses temperature" in said and "does not count tokens" in said


async def test_a_server_that_breaks_over_a_schema_is_asked_without(register: Any) -> None:
    async with saying("Ready.", READY) as url:
        probe = await register(url)
    assert not probe.structured_output and probe.state == pb.TEACHER_STATE_FINE


async def test_a_key_that_may_not_read_the_list_of_models_may_answer_all_the_same(register: Any) -> None:
    async with saying("Ready.", READY, models=403) as url:
        probe = await register(url)
    assert probe.state == pb.TEACHER_STATE_POOR and "403" in probe.problems[0]


async def test_headers_and_fields_are_kept_and_sent(
    register: Any, teacher: FakeTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher.settings = FakeSettings(needed_header="api-key: right", refused_fields=("top_p",))
    monkeypatch.setenv("AZURE_API_KEY", "right")
    given = {"model": "fake-teacher", "headers": {"api-key": "env:AZURE_API_KEY"}, "requests_per_minute": 6000}
    probe = await register(f"{teacher.url}?api-version=1", request_fields={"top_p": None, "top_k": 40}, **given)
    assert "it refuses" not in " ".join(probe.problems) and probe.tokens_per_second > 0


async def test_a_secret_of_the_service_is_not_sent_to_a_teacher(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CULTIVAR_TEACHER_CREDENTIALS", "env:*_API_KEY")
    host = await start(build)
    assert host.parts is not None
    stub: Any = generation_pb2_grpc.GenerationServiceStub(host.parts.channel)
    teacher = pb.Teacher(url="http://127.0.0.1:9/v1", model="m", headers={"x-key": "env:CULTIVAR_DATABASE_URL"})
    request = pb.RegisterTeacherRequest(parent=PARENT, teacher_id="t", teacher=teacher)
    with pytest.raises(grpc.aio.AioRpcError, match="may not name env:CULTIVAR_DATABASE_URL") as refused:
        await stub.RegisterTeacher(request)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_teacher_may_be_registered_without_being_asked_anything(register: Any, teacher: FakeTeacher) -> None:
    probe = await register(teacher.url, skip_probe=True)
    assert probe.state == pb.TEACHER_STATE_UNSPECIFIED and teacher.stats.calls == 0


async def test_a_repeated_request_asks_a_teacher_nothing_again(start: Start, teacher: FakeTeacher) -> None:
    host = await start(build)
    assert host.parts is not None
    stub: Any = generation_pb2_grpc.GenerationServiceStub(host.parts.channel)
    given = pb.Teacher(url=teacher.url, model="fake-teacher")
    request = pb.RegisterTeacherRequest(parent=PARENT, teacher_id="t", teacher=given, request_id="once")
    first = await stub.RegisterTeacher(request)
    asked = teacher.stats.calls
    assert await stub.RegisterTeacher(request) == first and teacher.stats.calls == asked > 0
    request.teacher.model = "another"
    with pytest.raises(grpc.aio.AioRpcError, match="was used for another"):
        await stub.RegisterTeacher(request)
    assert teacher.stats.calls == asked


async def test_the_command_registers_says_what_is_wrong_and_lists(start: Start, terminal: Terminal) -> None:
    terminal.at(await start(build))

    async def typed(*words: str) -> str:
        done = await terminal("teacher", *words)
        assert done.exit_code == 0, done.output
        return done.output

    async with saying("ready", "apples and pears") as url:
        said = await typed("register", "small", "--model", "m", "--url", url, "--temperature", "0")
    assert "small is registered: poor" in said and "- it does not keep to a numbered list" in said
    assert "tokens a second" in said
    await typed("register", "azure", *OPTIONS)
    shown = await typed("show", "azure")
    assert 'headers: {"api-key": "env:AZURE_API_KEY"}' in shown and "temperature: 0.8" in shown
    assert "azure is registered: not asked" in shown
    await typed("register", "later", "--model", "m", "--url", "http://127.0.0.1:9/v1", "--no-probe")
    rows = [line.split() for line in (await typed("list")).splitlines()[1:]]
    assert [row[0] for row in rows] == ["azure", "later", "local", "small"]
    assert rows[2][1] == "smollm2-135m-instruct" and "poor" in rows[3] and "asked" in rows[1]
