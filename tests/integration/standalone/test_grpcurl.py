"""gRPC from outside: grpcurl, which knows nothing of Cultivar, lists, describes and calls every method."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cultivar_standalone.mounts import BUILDS

from tests.processes import Server
from tests.programs import program

RPC = re.compile(r"rpc (\w+) \( (?:stream )?\.([\w.]+) \)")
HONEST = ("OK", "InvalidArgument", "NotFound", "FailedPrecondition", "AlreadyExists", "Unavailable")


@dataclass
class Caller:
    """grpcurl against one server."""

    binary: str
    address: str
    token: str

    async def __call__(self, *words: str, data: dict[str, str] | None = None, token: bool = True) -> str:
        """Runs a verb, or calls a method where there is `data`, and returns what was printed."""
        header = ("-H", f"authorization: Bearer {self.token}") if token else ()
        body = ("-d", json.dumps(data)) if data is not None else ()
        process = await asyncio.create_subprocess_exec(
            *(self.binary, "-plaintext", "-max-time", "30", *header, *body, self.address, *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        return printed.decode()


@pytest.fixture
async def grpcurl(data_dir: Path) -> AsyncIterator[Caller]:
    """A server with all services, and grpcurl for it."""
    binary, server = program("grpcurl"), Server(data_dir)
    connection = await server.start()
    yield Caller(binary, connection.address, connection.token)
    assert await server.stop() == 0


async def test_grpcurl_lists_describes_and_calls_every_method(grpcurl: Caller) -> None:
    services = [line for line in (await grpcurl("list")).split() if line.startswith("cultivar.")]
    assert {service.split(".")[1] for service in services} == set(BUILDS) - {"console"}
    answers = {}
    for service in services:
        for method, message in RPC.findall(await grpcurl("describe", service)):
            described = await grpcurl("describe", message)
            assert "is a message" in described
            named, listed = {"name": "projects/default/things/absent"}, {"parent": "projects/default"}
            request = listed if "string parent =" in described else named
            answers[f"{service}/{method}"] = await grpcurl(f"{service}/{method}", data=request)
    assert len(answers) >= 60
    assert {method: printed for method, printed in answers.items() if code(printed) not in HONEST} == {}


def code(printed: str) -> str:
    """Returns the status that grpcurl printed; OK where it printed an answer."""
    return next((line.split(":")[1].strip() for line in printed.splitlines() if line.strip().startswith("Code:")), "OK")


async def test_a_call_without_a_token_is_refused(grpcurl: Caller) -> None:
    method = "cultivar.generation.v1.GenerationService/ListPrompts"
    printed = await grpcurl(method, data={"parent": "projects/default"}, token=False)
    assert code(printed) == "Unauthenticated"
