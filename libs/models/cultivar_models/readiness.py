"""Whether a server answers and serves the model."""

import asyncio
import time
from typing import Any

import aiohttp

from cultivar_models.endpoint import Endpoint, TokenUsage
from cultivar_models.errors import ModelUnavailable, rejected
from cultivar_models.reading import BadAnswer, read_models
from cultivar_models.transport import Transport, reason_in_words

_POLL_S = 0.5
_TRY_S = 10.0
_SHOWN = 10
_NOT_UP = (502, 503, 504)


async def wait_ready(transport: Transport, endpoint: Endpoint, timeout_s: float, listed: bool = True) -> None:
    """Polls `/models` until it lists the endpoint's model.

    Where it need not be `listed`, an answer of a server that is not on its way up (502 to 504) is enough.
    An adapter (`base:adapter`) is loaded when it is first asked for, so its base model is enough.
    Raises ModelUnavailable after timeout_s, in words, and ModelRejected at once for a key that is refused; a key may be
    good for answers and not for the list, which is no matter where the model need not be listed.
    """
    ends = time.monotonic() + timeout_s
    while True:
        left = ends - time.monotonic()
        reason = await _why_not(transport, endpoint, min(_TRY_S, max(0.05, left)), listed)
        if reason is None:
            return
        if ends - time.monotonic() <= _POLL_S:
            raise ModelUnavailable(f"{endpoint.url} is not ready after {timeout_s:g} s: it {reason}")
        await asyncio.sleep(_POLL_S)


async def _why_not(transport: Transport, endpoint: Endpoint, timeout_s: float, listed: bool) -> str | None:
    try:
        status, body = await transport.get("/models", timeout_s)
        if status == 401 or (status == 403 and listed):
            raise rejected(endpoint.url, endpoint.model, status, "", TokenUsage(calls=1, failed_calls=1))
        if not listed and status not in _NOT_UP:
            return None
        if status != 200:
            return f"answers {endpoint.url}/models with status {status}"
        return _missing(endpoint.model, read_models(body))
    except (aiohttp.ClientError, TimeoutError, OSError, BadAnswer) as error:
        return reason_in_words(error)


def _missing(model: str, served: list[Any]) -> str | None:
    if model in served or model.rpartition(":")[0] in served:
        return None
    shown = ", ".join(served[:_SHOWN]) or "no model"
    return f"serves {shown}{', …' if len(served) > _SHOWN else ''}, but not {model}; name one of these or load it"
