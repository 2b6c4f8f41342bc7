import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import uvicorn
from cultivar_generation.teachers import api
from cultivar_generation.teachers.api import Api, key_digest
from cultivar_generation.teachers.errors import BadRequest, Overloaded
from cultivar_generation.teachers.events import Stream
from cultivar_generation.teachers.requests import ChatRequest, CompletionRequest, EmbeddingRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

KEY = "the-key-of-this-test"
CHAT = {"model": "m", "messages": [{"role": "user", "content": "the secret text"}]}


class Answers:
    def __init__(self) -> None:
        self.models = ["m"]
        self.asked: list[Any] = []
        self.error: Exception | None = None
        self.breaks: Exception | None = None
        self.endless = False
        self.let_go = asyncio.Event()

    async def chat(self, request: ChatRequest) -> dict[str, Any]:
        return self._answer(request)

    async def complete(self, request: CompletionRequest) -> dict[str, Any]:
        return self._answer(request)

    async def embed(self, request: EmbeddingRequest) -> dict[str, Any]:
        return self._answer(request)

    async def stream_chat(self, request: ChatRequest) -> Stream:
        return self._stream(request)

    async def stream_complete(self, request: CompletionRequest) -> Stream:
        return self._stream(request)

    def _stream(self, request: Any) -> Stream:
        first = self._answer(request)

        async def chunks() -> AsyncIterator[dict[str, Any]]:
            yield first
            if self.breaks:
                raise self.breaks
            if self.endless:
                await self.let_go.wait()

        held = AsyncExitStack()
        held.callback(self.let_go.set)
        return Stream(chunks(), held)

    def _answer(self, request: Any) -> dict[str, Any]:
        if self.error:
            raise self.error
        self.asked.append(request)
        return {"text": "Grüße 🙂"}


@pytest.fixture
def answers() -> Answers:
    return Answers()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class Client:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def get(self, path: str, **more: Any) -> Reply:
        return await self.request("GET", path, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> Reply:
        return await self.request("POST", path, json=body, **more)

    async def request(self, method: str, path: str, **more: Any) -> Reply:
        headers = more.pop("headers", {"Authorization": f"Bearer {KEY}"})
        async with self._session.request(method, self._url + path, headers=headers, **more) as response:
            return Reply(response.status, response.headers, await response.text())


@pytest.fixture
async def client(answers: Answers) -> AsyncIterator[Client]:
    """A client of the API on a server of starlette's kind, as Ray Serve's proxy is."""
    served = Api(answers, key_digest(KEY), lambda: answers.error is None)

    async def answer(request: Request) -> Response:
        return await served.answer(request)

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "DELETE"])])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
        serving = asyncio.create_task(server.serve([listener]))
        try:
            async with aiohttp.ClientSession() as session:
                yield Client(session, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            await serving


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", CHAT),
        ("completions", {"model": "m", "prompt": "p"}),
        ("embeddings", {"model": "m", "input": ["a"]}),
    ],
)
async def test_each_path_answers_its_kind_of_request(client: Client, path: str, body: Any) -> None:
    response = await client.post(f"/v1/{path}", body)
    assert (response.status, response.json()) == (200, {"text": "Grüße 🙂"})


async def test_the_models_are_listed(client: Client) -> None:
    assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["m"]


@pytest.mark.parametrize("name", ["m", f"m:p/{'0' * 64}", "e"])
async def test_a_model_that_is_served_is_told_of_by_itself(client: Client, answers: Answers, name: str) -> None:
    answers.models = ["m", f"m:p/{'0' * 64}", "e"]
    response = await client.get(f"/v1/models/{name}")
    assert (response.status, response.json()["id"], response.json()["object"]) == (200, name, "model")


@pytest.mark.parametrize("name", ["other", "", "m/", f"m:p/{'1' * 64}"])
async def test_a_model_that_is_not_served_is_not_found(client: Client, name: str) -> None:
    response = await client.get(f"/v1/models/{name}")
    assert (response.status, response.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("header", ["", "Bearer wrong", KEY, f"Basic {KEY}", "Bearer ", "Bearer ä"])
async def test_nothing_is_answered_without_the_key(client: Client, answers: Answers, header: str) -> None:
    for path in ("/v1/models", "/v1/models/m", "/v1/chat/completions", "/elsewhere"):
        response = await client.post(path, CHAT, headers={"Authorization": header} if header else {})
        assert (response.status, response.json()["error"]["code"]) == (401, "invalid_api_key")
    assert answers.asked == []


async def test_health_needs_no_key_and_tells_a_dead_engine(client: Client, answers: Answers) -> None:
    assert (await client.get("/healthz", headers={})).json() == {"status": "ok"}
    answers.error = RuntimeError()
    assert (await client.get("/healthz")).status == 503


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/completions"), ("POST", "/v1/nothing"), ("DELETE", "/")])
async def test_an_unknown_path_or_method_is_not_found(client: Client, method: str, path: str) -> None:
    response = await client.request(method, path)
    assert (response.status, response.json()["error"]["type"]) == (404, "invalid_request_error")


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_above_the_bound_is_refused(
    client: Client, answers: Answers, monkeypatch: pytest.MonkeyPatch, declared: bool
) -> None:
    monkeypatch.setattr(api, "LARGEST_BODY", 100)

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"0123456789"

    body: Any = b"0" * 300 if declared else parts()
    response = await client.post("/v1/completions", data=body)
    assert response.status == 413
    assert answers.asked == []


async def test_a_full_queue_says_when_to_come_back(client: Client, answers: Answers) -> None:
    answers.error = Overloaded(7)
    response = await client.post("/v1/chat/completions", CHAT)
    assert (response.status, response.headers["Retry-After"]) == (429, "7")
    assert response.json()["error"]["type"] == "rate_limit_error"


async def test_an_unexpected_failure_says_and_logs_no_text(
    client: Client, answers: Answers, caplog: pytest.LogCaptureFixture
) -> None:
    answers.error = ValueError("the secret text")
    response = await client.post("/v1/chat/completions", CHAT)
    assert response.status == 500
    assert "secret" not in response.text + caplog.text
    assert "ValueError" in caplog.text


async def test_a_refusal_has_the_protocols_form(client: Client, answers: Answers) -> None:
    answers.error = BadRequest("too long", "context_length_exceeded", "messages")
    response = await client.post("/v1/chat/completions", CHAT)
    assert response.status == 400
    assert response.json() == {
        "error": {
            "message": "too long",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        }
    }


SECRET = "the secret text"
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("chat/completions", {**CHAT, "stream_options": {"include_usage": True}}, "stream_options needs stream"),
    ("chat/completions", {**CHAT, "stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options"),
    ("completions", {"model": "m", "prompt": "p", "stream": True, "echo": True}, "echo cannot be streamed"),
    ("chat/completions", {**CHAT, "temperature": 9}, "temperature"),
    ("chat/completions", {**CHAT, "no_such_field": SECRET}, "no_such_field"),
    ("chat/completions", {**CHAT, "tools": [SECRET]}, "tools"),
    ("chat/completions", {**CHAT, "frequency_penalty": 0.5}, "frequency_penalty"),
    ("chat/completions", {**CHAT, "logit_bias": {"5": 1}}, "logit_bias"),
    ("chat/completions", {**CHAT, "response_format": {"type": "grammar"}}, "response_format"),
    ("chat/completions", {**CHAT, "response_format": {"type": "json_schema", "json_schema": {}}}, "response_format"),
    ("chat/completions", {**CHAT, "top_logprobs": 2}, "logprobs"),
    ("chat/completions", {**CHAT, "messages": []}, "messages"),
    ("chat/completions", {**CHAT, "store": True}, "store is wrong: what it asks for is not supported"),
    ("chat/completions", {**CHAT, "metadata": {SECRET: SECRET}}, "metadata is wrong: what it asks for is not"),
    ("chat/completions", {**CHAT, "tool_choice": "auto"}, "tool_choice"),
    ("chat/completions", {**CHAT, "tool_choice": {"type": SECRET}}, "tool_choice"),
    ("chat/completions", {**CHAT, "functions": [SECRET]}, "functions"),
    ("chat/completions", {**CHAT, "function_call": SECRET}, "function_call"),
    ("chat/completions", {**CHAT, "parallel_tool_calls": True}, "parallel_tool_calls"),
    ("chat/completions", {**CHAT, "reasoning_effort": "low"}, "reasoning_effort"),
    ("chat/completions", {**CHAT, "service_tier": "flex"}, "service_tier"),
    ("chat/completions", {**CHAT, "prediction": {"content": SECRET}}, "prediction"),
    ("chat/completions", {**CHAT, "modalities": ["text", "audio"]}, "modalities"),
    ("chat/completions", {**CHAT, "audio": {"voice": SECRET}}, "audio"),
    ("chat/completions", {**CHAT, "top_k": -2}, "top_k"),
    ("chat/completions", {**CHAT, "messages": [{"role": "assistant", "content": "a", "refusal": SECRET}]}, "refusal"),
    ("chat/completions", {**CHAT, "messages": [{"role": "user", "content": "a", "tool_calls": [1]}]}, "tool_calls"),
    ("chat/completions", {**CHAT, "messages": [{"role": "tool", "content": "a"}]}, "messages.0.role"),
    ("chat/completions", {**CHAT, "messages": [{"role": SECRET, "content": SECRET}]}, "messages.0.role"),
    ("chat/completions", {**CHAT, "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0"),
    ("completions", {"model": "m", "prompt": []}, "prompt is wrong: give a text, tokens"),
    ("completions", {"model": "m", "prompt": [SECRET, 3]}, "prompt is wrong: give a text, tokens"),
    ("completions", {"model": "m", "prompt": "p", "max_tokens": 0}, "echo"),
    ("completions", {"model": "m", "prompt": ["p"] * 200, "n": 2}, "prompts times n"),
    ("completions", {"model": "m", "prompt": "p", "best_of": 3}, "best_of"),
    ("completions", {"model": "m", "prompt": "p", "stop": [""]}, "stop"),
    ("embeddings", {"model": "m", "input": []}, "input"),
    ("embeddings", {"model": "m", "input": [[]]}, "input is wrong: give a text, its tokens"),
    ("embeddings", {"model": "m", "input": [SECRET, [1]]}, "input is wrong: give a text, its tokens"),
    ("embeddings", {"model": "m", "input": [-1]}, "input is wrong: give a text, its tokens"),
    ("embeddings", {"model": "m", "input": "a", "dimensions": 8}, "dimensions"),
]


@pytest.mark.parametrize(("path", "body", "field"), WRONG)
async def test_what_is_wrong_or_not_supported_is_named_without_its_value(
    client: Client, path: str, body: dict[str, Any], field: str
) -> None:
    response = await client.post(f"/v1/{path}", body)
    assert response.status == 400
    assert field in response.json()["error"]["message"]
    assert SECRET not in response.text


async def test_a_body_that_is_no_json_is_refused(client: Client) -> None:
    response = await client.post("/v1/completions", data=b'{"prompt": "the secret text"')
    assert response.status == 400
    assert SECRET not in response.text


async def test_nulls_and_defaults_of_other_clients_are_taken(client: Client, answers: Answers) -> None:
    body = {**CHAT, "temperature": None, "n": None, "stop": None, "stream": False, "frequency_penalty": 0}
    body["messages"] = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    assert (await client.post("/v1/chat/completions", body)).status == 200
    completion = {"model": "m", "prompt": [[1, 2]], "max_tokens": None, "echo": None, "logprobs": None, "best_of": 1}
    assert (await client.post("/v1/completions", data=json.dumps(completion))).status == 200
    assert answers.asked[0].messages[0].content == "ab"
    assert (answers.asked[1].max_tokens, answers.asked[1].prompts) == (16, [[1, 2]])


UNASKED: list[dict[str, Any]] = [
    {"store": None, "metadata": None, "tools": None, "tool_choice": None, "functions": None, "function_call": None},
    {"store": False, "metadata": {}, "tools": [], "tool_choice": "none", "functions": [], "function_call": "none"},
    {"parallel_tool_calls": None, "reasoning_effort": None, "prediction": None, "audio": None},
    {"service_tier": None, "modalities": None},
    {"service_tier": "auto", "modalities": ["text"]},
    {"modalities": []},
    {"top_k": None},
]


@pytest.mark.parametrize("fields", UNASKED)
async def test_fields_that_ask_for_nothing_are_passed_over(
    client: Client, answers: Answers, fields: dict[str, Any]
) -> None:
    response = await client.post("/v1/chat/completions", {**CHAT, **fields})
    assert response.status == 200, response.text
    assert answers.asked[0].likeliest == 0


async def test_what_an_answer_held_may_be_sent_back_and_a_developer_is_the_system(
    client: Client, answers: Answers
) -> None:
    said = {"refusal": None, "annotations": [], "audio": None, "tool_calls": None, "function_call": None}
    messages = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", **said},
        {"role": "user", "content": "c"},
    ]
    response = await client.post("/v1/chat/completions", {**CHAT, "messages": messages})
    assert response.status == 200, response.text
    assert [message.role for message in answers.asked[0].messages] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(("top_k", "likeliest"), [(-1, 0), (0, 0), (1, 1), (40, 40)])
async def test_the_k_likeliest_may_be_asked_for_and_minus_one_is_all(
    client: Client, answers: Answers, top_k: int, likeliest: int
) -> None:
    await client.post("/v1/chat/completions", {**CHAT, "top_k": top_k})
    await client.post("/v1/completions", {"model": "m", "prompt": "p", "top_k": top_k})
    assert [asked.likeliest for asked in answers.asked] == [likeliest] * 2


@pytest.mark.parametrize(
    ("given", "texts"), [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1, 2], [3]], [[1, 2], [3]])]
)
async def test_texts_to_embed_may_be_given_as_tokens(client: Client, answers: Answers, given: Any, texts: Any) -> None:
    assert (await client.post("/v1/embeddings", {"model": "m", "input": given})).status == 200
    assert answers.asked[0].texts == texts


@pytest.mark.parametrize("path", ["chat/completions", "completions"])
async def test_a_stream_comes_as_events_and_says_that_it_is_done(client: Client, path: str) -> None:
    body = CHAT if path.startswith("chat") else {"model": "m", "prompt": "p"}
    response = await client.post(f"/v1/{path}", {**body, "stream": True})
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert response.text == 'data: {"text":"Grüße 🙂"}\n\ndata: [DONE]\n\n'


async def test_a_stream_that_breaks_ends_with_an_error_and_not_as_if_it_were_done(
    client: Client, answers: Answers, caplog: pytest.LogCaptureFixture
) -> None:
    answers.breaks = ValueError("the secret text")
    last = (await client.post("/v1/chat/completions", {**CHAT, "stream": True})).text.strip().splitlines()[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "engine_failed"
    assert "secret" not in last + caplog.text


async def test_a_stream_that_cannot_begin_has_the_status_of_its_error(client: Client, answers: Answers) -> None:
    answers.error = Overloaded(7)
    response = await client.post("/v1/chat/completions", {**CHAT, "stream": True})
    assert (response.status, response.headers["Retry-After"]) == (429, "7")


async def test_what_a_stream_holds_is_let_go_of_at_its_end_and_when_its_reader_goes_away(
    client: Client, answers: Answers
) -> None:
    await client.post("/v1/chat/completions", {**CHAT, "stream": True})
    assert answers.let_go.is_set()
    answers.let_go.clear()
    answers.endless = True
    with pytest.raises(TimeoutError):
        await client.post("/v1/chat/completions", {**CHAT, "stream": True}, timeout=aiohttp.ClientTimeout(total=0.5))
    await asyncio.wait_for(answers.let_go.wait(), 5)
