"""What the client makes of servers that misbehave on the wire."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from cultivar_models import (
    Endpoint,
    ModelAnswerInvalid,
    ModelClient,
    ModelError,
    ModelRejected,
    ModelUnavailable,
    RetryPolicy,
    Sampling,
    transport,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
POLICY = RetryPolicy(retries=2, invalid_retries=1, deadline_s=2, first_wait_s=0.005, longest_wait_s=0.01)
GOOD = json.dumps({"choices": [{"text": "fine"}]}).encode()


@asynccontextmanager
async def asking(handler: Handler, timeout_s: float = 1) -> AsyncIterator[ModelClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = Endpoint(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", "m", api_key="hush-hush")
    try:
        async with ModelClient(endpoint, policy=POLICY, timeout_s=timeout_s) as client:
            yield client
    finally:
        await runner.cleanup()


async def test_a_redirect_is_not_followed() -> None:
    seen: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=307, headers={"Location": "/v2/completions"})

    async with asking(elsewhere) as client:
        with pytest.raises(ModelRejected, match="the server has moved"):
            await client.complete("hello", Sampling())
    assert seen == ["/v1/completions"]


async def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MOST_BYTES", 100_000)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 10_000)

    async with asking(endless) as client:
        with pytest.raises(ModelAnswerInvalid, match="longer than 100000 bytes"):
            await client.complete("hello", Sampling())


async def test_an_answer_that_stalls_in_the_middle_times_out() -> None:
    async def stalls(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(GOOD[:10])
        await asyncio.sleep(60)
        return response

    async with asking(stalls, timeout_s=0.1) as client:
        with pytest.raises(ModelUnavailable, match="did not answer in time"):
            await client.complete("hello", Sampling())


async def test_an_answer_in_pieces_is_put_together() -> None:
    async def pieces(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for at in range(0, len(GOOD), 5):
            await response.write(GOOD[at : at + 5])
        return response

    async with asking(pieces) as client:
        assert (await client.complete("hello", Sampling())).text == "fine"


async def test_a_compressed_answer_that_was_not_asked_for_is_not_unpacked() -> None:
    async def packed(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=gzip.compress(GOOD), headers={"Content-Encoding": "gzip"})

    async with asking(packed) as client:
        with pytest.raises(ModelAnswerInvalid, match="not JSON"):
            await client.complete("hello", Sampling())


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"choices": {}}'])
async def test_bodies_of_every_wrong_form_are_invalid(body: bytes) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body)

    async with asking(answer) as client:
        with pytest.raises(ModelAnswerInvalid, match="2 times outside the protocol"):
            await client.complete("hello", Sampling())


@pytest.mark.parametrize(
    "error",
    [b"", b"<html>", b'{"error": "the text of the prompt"}', b'{"error": {"code": "the text"}}', b"[" * 100_000],
)
async def test_what_a_refusing_server_says_is_not_repeated(error: bytes) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=400, body=error)

    async with asking(refuse) as client:
        with pytest.raises(ModelRejected, match="with 400: check the request") as caught:
            await client.complete("hello", Sampling())
    assert "the prompt." not in str(caught.value) and "the text" not in str(caught.value)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408, 529])
async def test_no_error_holds_the_prompt_or_the_key(status: int) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(status=status, body=await request.read())

    async with asking(echo) as client:
        with pytest.raises(ModelError) as caught:
            await client.complete("a private text", Sampling())
    assert caught.value.usage.calls >= 3
    assert "private" not in str(caught.value) and "hush" not in str(caught.value)


@pytest.mark.parametrize(("code", "calls"), [(429, 2), (502, 2), ("overloaded", 2)])
async def test_an_error_that_comes_as_an_answer_is_tried_again(code: int | str, calls: int) -> None:
    sent = 0

    async def gateway(request: web.Request) -> web.Response:
        nonlocal sent
        sent += 1
        return (
            web.json_response({"error": {"code": code, "message": "later"}}) if sent == 1 else web.Response(body=GOOD)
        )

    async with asking(gateway) as client:
        assert (await client.complete("hello", Sampling())).text == "fine"
    assert sent == calls


async def test_a_refusal_that_comes_as_an_answer_is_a_refusal() -> None:
    async def gateway(request: web.Request) -> web.Response:
        return web.json_response({"error": {"code": 402, "message": "no credits"}})

    async with asking(gateway) as client:
        with pytest.raises(ModelRejected, match="402") as caught:
            await client.complete("hello", Sampling())
    assert caught.value.of_caller and caught.value.usage.calls == 1


async def test_a_pause_in_milliseconds_is_taken_before_one_in_seconds() -> None:
    sent: list[float] = []

    async def limited(request: web.Request) -> web.Response:
        sent.append(asyncio.get_running_loop().time())
        busy = web.Response(status=429, headers={"retry-after-ms": "40", "Retry-After": "1"})
        return busy if len(sent) == 1 else web.Response(body=GOOD)

    async with asking(limited) as client:
        await client.complete("hello", Sampling())
    assert 0.04 <= sent[1] - sent[0] < 0.9


async def test_a_closed_client_says_how_it_is_used() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await ModelClient(Endpoint("http://127.0.0.1:9/v1", "m")).complete("hello", Sampling())
