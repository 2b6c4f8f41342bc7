"""The fake teacher: a real HTTP server of the OpenAI protocol, with invented answers and faults on demand."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from pydantic import ValidationError

from cultivar_models.fake import answers
from cultivar_models.fake.settings import FakeSettings
from cultivar_models.fake.stats import Stats

_ANSWERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "/v1/chat/completions": answers.chat,
    "/v1/completions": answers.completions,
    "/v1/embeddings": answers.embeddings,
}
_MOST_BYTES = 64 * 1024 * 1024


class FakeTeacher:
    """Serves invented answers on loopback unless it is told another address; an async context manager.

    `url` ends in /v1 and is known inside the context. `settings` may be replaced at any time; `stats` counts.
    Over HTTP: GET /stats (`?bodies=false` leaves out the calls of each body), POST /settings, POST /reset.
    """

    def __init__(
        self, settings: FakeSettings | None = None, *, host: str = "127.0.0.1", port: int = 0, **fields: Any
    ) -> None:
        self.settings = settings or FakeSettings(**fields)
        self.stats = Stats()
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_MOST_BYTES)
        for path in _ANSWERS:
            app.router.add_post(path, self._answer)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/stats", self._stats)
        app.router.add_post("/settings", self._set)
        app.router.add_post("/reset", self._reset)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self.url = f"http://{self._host}:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        payload = await request.read()
        digest = hashlib.sha256(request.path.encode() + b"\n" + payload).hexdigest()
        nth = self.stats.begin(request.path, digest)
        outcome = "cancelled"
        try:
            outcome, response = await self._judge(request, payload, digest, nth)
            return response
        finally:
            self.stats.end(digest, outcome)

    async def _judge(
        self, request: web.Request, payload: bytes, digest: str, nth: int
    ) -> tuple[str, web.StreamResponse]:
        settings = self.settings
        refusal = self._refusal(request, payload)
        if refusal is not None:
            return "refused", refusal
        if settings.most_in_flight and self.stats.in_flight > settings.most_in_flight:
            return "too_many", _too_many(settings)
        fault = settings.fault(digest, nth, payload)
        if fault == "too_many":
            return fault, _too_many(settings)
        await asyncio.sleep(settings.latency_s + (settings.hang_s if fault == "hang" else 0))
        if fault in ("", "hang", "lie"):
            return self._good(request.path, json.loads(payload), fault == "lie")
        return fault, _faulty(fault, request)

    def _refusal(self, request: web.Request, payload: bytes) -> web.Response | None:
        if not self._may(request):
            return _error(401, "the bearer key is missing or wrong", "invalid_api_key")
        try:
            body = json.loads(payload)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return _error(400, "the body is not a JSON object", "invalid_request_error")
        model = body.get("model")
        if not isinstance(model, str) or not {model, model.partition(":")[0]} & set(self.settings.models):
            return _error(404, "the model is not served; /v1/models lists those that are", "model_not_found")
        if request.path == "/v1/completions" and not self.settings.completions:
            return _error(404, "there is nothing here; /v1/chat/completions answers", "not_found")
        refused = next((name for name in self.settings.refused_fields if name in body), "")
        if refused:
            return _error(400, f"Unsupported parameter: '{refused}' is not supported", "unsupported_parameter", refused)
        if body.get("stream"):
            return _error(400, "the fake teacher does not stream; leave stream out", "invalid_request_error")
        if body.get("response_format") and self.settings.structured_output == "reject":
            return _error(400, "the request is not understood", "invalid_request_error")
        if body.get("response_format") and self.settings.structured_output == "refuse":
            return _error(400, "response_format is not supported", "unsupported_parameter")
        if request.path.endswith("/embeddings") and self._too_long(body.get("input")):
            return _error(400, "a text is longer than the model reads", "context_length_exceeded")
        return None

    def _too_long(self, texts: Any) -> bool:
        longest, many = self.settings.longest_embedded, [texts] if isinstance(texts, str) else texts or ()
        return longest > 0 and any(len(str(text)) > longest for text in many)

    def _may(self, request: web.Request) -> bool:
        key, (name, _, value) = self.settings.api_key, self.settings.needed_header.partition(": ")
        has_key = not key or request.headers.get("Authorization") == f"Bearer {key}"
        return has_key and (not name or request.headers.get(name) == value)

    def _good(self, path: str, body: dict[str, Any], lie: bool) -> tuple[str, web.Response]:
        if self.settings.structured_output == "ignore":
            body.pop("response_format", None)
        try:
            answer = answers.worded(_ANSWERS[path](body), self.settings)
            return ("lie", web.json_response(answers.lied(answer))) if lie else ("answered", web.json_response(answer))
        except answers.Refused as refused:
            return "refused", _error(400, str(refused), "invalid_request_error")

    async def _models(self, request: web.Request) -> web.Response:
        if not self._may(request):
            return _error(401, "the bearer key is missing or wrong", "invalid_api_key")
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "fake"} for name in self.settings.models]
        return web.json_response({"object": "list", "data": data})

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _stats(self, request: web.Request) -> web.Response:
        return web.json_response(self.stats.to_json(bodies=request.query.get("bodies") != "false"))

    async def _set(self, request: web.Request) -> web.Response:
        try:
            changed = self.settings.model_dump() | await request.json()
            self.settings = FakeSettings.model_validate(changed)
        except (ValidationError, ValueError, TypeError) as error:
            return _error(400, f"the settings are wrong: {error}", "invalid_request_error")
        return web.json_response(self.settings.model_dump())

    async def _reset(self, request: web.Request) -> web.Response:
        self.stats.clear()
        return web.json_response(self.stats.to_json())


def _too_many(settings: FakeSettings) -> web.Response:
    response = _error(429, "slow down", "rate_limit_exceeded")
    if settings.retry_after_s:
        response.headers["Retry-After"] = f"{settings.retry_after_s:g}"
    return response


def _faulty(fault: str, request: web.Request) -> web.StreamResponse:
    if fault == "broken":
        return web.Response(text='{"choices": [{"mess', content_type="application/json")
    if fault == "empty":
        return web.json_response({"object": "chat.completion", "choices": []})
    if fault == "drop" and request.transport is not None:
        request.transport.close()
    return _error(500, "the fake teacher was told to fail", "server_error")


def _error(status: int, message: str, code: str, param: str | None = None) -> web.Response:
    error = {"message": message, "type": code, "param": param, "code": code}
    return web.json_response({"error": error}, status=status)
