"""Server-sent events: how a streamed answer goes over HTTP."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from cultivar_generation.teachers.answers import Json
from cultivar_generation.teachers.errors import EngineFailed, TeacherError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stream:
    """The chunks of an answer, and what must be let go of once nobody reads them any more."""

    chunks: AsyncIterator[Json]
    held: AsyncExitStack


class Events(StreamingResponse):
    """Sends a stream; when it has ended, or its reader has gone away, what the stream holds is let go of."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(_lines(stream.chunks), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self._held = stream.held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._held.aclose()


async def _lines(chunks: AsyncIterator[Json]) -> AsyncIterator[bytes]:
    """Ends with `[DONE]`, or with an error, which a client must not take for an end."""
    try:
        async for chunk in chunks:
            yield _event(chunk)
        yield b"data: [DONE]\n\n"
    except TeacherError as error:
        yield _event(error.body())
    except Exception as error:
        # Only the kind is logged: the message may hold a text of the request.
        _log.error("a stream failed with %s", type(error).__name__)
        yield _event(EngineFailed().body())


def _event(body: Json) -> bytes:
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return b"data: " + content.encode("utf-8", "replace") + b"\n\n"
