"""The HTTP side: paths, key, bounds of bodies, errors; plain starlette, without Ray."""

import hashlib
import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from cultivar_generation.teachers.answers import Json, model_entry, model_list
from cultivar_generation.teachers.errors import BadKey, EngineFailed, TeacherError, TooLarge, UnknownModel, UnknownPath
from cultivar_generation.teachers.events import Events, Stream
from cultivar_generation.teachers.requests import ChatRequest, CompletionRequest, EmbeddingRequest, read_body

if TYPE_CHECKING:
    from cultivar_generation.teachers.backend import Backend

LARGEST_BODY = 8 * 1024 * 1024
_MODEL = "/v1/models/"

_log = logging.getLogger(__name__)


class Answers(Protocol):
    """What stands behind the paths; the backend is one."""

    @property
    def models(self) -> list[str]:
        """The models that are served."""

    async def chat(self, request: ChatRequest) -> Json:
        """Answers a chat."""

    async def complete(self, request: CompletionRequest) -> Json:
        """Answers completions."""

    async def stream_chat(self, request: ChatRequest) -> Stream:
        """Answers a chat as it is made."""

    async def stream_complete(self, request: CompletionRequest) -> Stream:
        """Answers completions as they are made."""

    async def embed(self, request: EmbeddingRequest) -> Json:
        """Answers with embeddings."""


class Api:
    """Answers HTTP requests of the OpenAI protocol.

    key_digest: SHA-256 of the bearer key in hex, so that the key itself is nowhere in Ray. healthy: for /healthz.
    """

    def __init__(self, answers: "Answers | Backend", key_digest: str, healthy: Callable[[], bool]) -> None:
        self._answers = answers
        self._key_digest = key_digest
        self._healthy = healthy
        self._paths: dict[tuple[str, str], Callable[[Request], Awaitable[Json | Response]]] = {
            ("GET", "/v1/models"): self._models,
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/completions"): self._complete,
            ("POST", "/v1/embeddings"): self._embed,
        }

    async def answer(self, request: Request) -> Response:
        """Answers one request; never raises but for a client that went away."""
        if request.url.path == "/healthz":
            healthy = self._healthy()
            return _json({"status": "ok" if healthy else "failed"}, 200 if healthy else 503)
        try:
            self._require_key(request)
            handler = self._paths.get((request.method, request.url.path))
            if request.method == "GET" and request.url.path.startswith(_MODEL):
                handler = self._model
            if handler is None:
                raise UnknownPath("there is nothing here for this method and path: see /v1/models")
            body = await handler(request)
            return body if isinstance(body, Response) else _json(body)
        except TeacherError as error:
            return _refusal(error)
        except ClientDisconnect:
            raise
        except Exception as error:
            # Only the kind is logged: the message may hold a text of the request.
            _log.error("%s failed with %s", request.url.path, type(error).__name__)
            return _refusal(EngineFailed())

    def _require_key(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        given = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).hexdigest()
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, self._key_digest):
            raise BadKey()

    async def _models(self, _: Request) -> Json:
        return model_list(self._answers.models)

    async def _model(self, request: Request) -> Json:
        name = request.url.path.removeprefix(_MODEL)
        if name not in self._answers.models:
            raise UnknownModel("no model of this name is served or loaded here: /v1/models lists those that are")
        return model_entry(name)

    async def _chat(self, request: Request) -> Json | Response:
        asked = read_body(ChatRequest, await _body(request))
        return Events(await self._answers.stream_chat(asked)) if asked.stream else await self._answers.chat(asked)

    async def _complete(self, request: Request) -> Json | Response:
        asked = read_body(CompletionRequest, await _body(request))
        if asked.stream:
            return Events(await self._answers.stream_complete(asked))
        return await self._answers.complete(asked)

    async def _embed(self, request: Request) -> Json:
        return await self._answers.embed(read_body(EmbeddingRequest, await _body(request)))


def key_digest(key: str) -> str:
    """Gives what `Api` compares keys with: the SHA-256 of a key, in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


async def _body(request: Request) -> bytes:
    """Reads a body; raises `TooLarge` before more than the bound is in memory."""
    too_large = TooLarge(f"the body has more than {LARGEST_BODY} bytes: send fewer prompts or texts at once")
    if int(request.headers.get("content-length") or 0) > LARGEST_BODY:
        raise too_large
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def _json(body: Json, status: int = 200) -> Response:
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
    return Response(content, status, media_type="application/json")


def _refusal(error: TeacherError) -> Response:
    response = _json(error.body(), error.status)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response
