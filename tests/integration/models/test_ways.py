"""The ways to a teacher: through a proxy, and by TLS with a CA of one's own."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from cultivar_models import Endpoint, ModelClient, ModelUnavailable, RetryPolicy, Sampling

ONCE = RetryPolicy(retries=0)


@asynccontextmanager
async def answering(context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[str]]]:
    """Serves one answer to every request on a port of loopback; keeps the first line of each."""
    lines: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines.append(head.splitlines()[0])
        body = json.dumps({"choices": [{"message": {"content": "yes"}}]}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], lines


async def ask(endpoint: Endpoint) -> str:
    """Asks once."""
    async with ModelClient(endpoint, policy=ONCE) as client:
        return (await client.chat([{"role": "user", "content": "Well?"}], Sampling())).text


async def test_a_call_goes_through_the_proxy_that_is_named() -> None:
    async with answering() as (port, lines):
        endpoint = Endpoint("http://teacher.invalid/v1", "m", proxy=f"http://127.0.0.1:{port}")
        assert await ask(endpoint) == "yes"
    assert lines == ["POST http://teacher.invalid/v1/chat/completions HTTP/1.1"]


async def test_a_certificate_counts_by_the_ca_that_is_named_and_by_no_other(tmp_path: Path) -> None:
    ours, others, context = trustme.CA(), trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.issue_cert("127.0.0.1").configure_cert(context)
    for name, authority in (("ours.pem", ours), ("others.pem", others)):
        authority.cert_pem.write_to_path(str(tmp_path / name))
    async with answering(context) as (port, _):
        url = f"https://127.0.0.1:{port}/v1"
        assert await ask(Endpoint(url, "m", ca_file=str(tmp_path / "ours.pem"))) == "yes"
        for file in (str(tmp_path / "others.pem"), ""):
            with pytest.raises(ModelUnavailable, match="could not be trusted"):
                await ask(Endpoint(url, "m", ca_file=file))
