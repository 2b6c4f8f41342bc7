"""Signing in, forms and headers, as a browser without scripts or an attacker meets them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from cultivar.review.v1 import review_pb2 as pb
from cultivar.review.v1 import review_pb2_grpc
from cultivar_console.__main__ import build as console
from cultivar_review.__main__ import build as review
from cultivar_service.errors import StartError
from cultivar_service.serving import Host

from tests.conftest import Start
from tests.consoles import console_of
from tests.seeds import TASK, commit_examples, seeds

JSON = {"Accept": "application/json"}
QUEUE = "/projects/default/queues/support"


@dataclass
class Visitor:
    """Somebody at a console with one queue."""

    host: Host
    http: aiohttp.ClientSession
    stub: Any

    @property
    def url(self) -> str:
        """The address of the pages."""
        return console_of(self.host)

    def link(self) -> str:
        """Returns a link that signs in."""
        return next(service.link() for service in self.host.services if service.link)

    async def get(self, path: str, **options: Any) -> aiohttp.ClientResponse:
        """Gets a page without following where it leads."""
        return await self.http.get(self.url + path, allow_redirects=False, **options)

    async def post(self, path: str, **options: Any) -> aiohttp.ClientResponse:
        """Posts without following where it leads."""
        return await self.http.post(self.url + path, allow_redirects=False, **options)

    async def sign_in(self) -> str:
        """Signs in by a link and returns the token of the session's pages."""
        await self.http.get(self.link())
        text = await (await self.get(QUEUE)).text()
        return text.split('data-csrf="')[1].split('"')[0]


@pytest.fixture
async def visitor(start: Start) -> AsyncIterator[Visitor]:
    """A console with one queue, and a visitor who has not signed in."""
    host = await start(review, console)
    assert host.parts is not None
    stub: Any = review_pb2_grpc.ReviewServiceStub(host.parts.channel)
    name = await commit_examples(host.settings.database_url, host.parts.store, seeds(), "kept")
    spec = pb.QueueSpec(examples=name, task=TASK)
    await stub.CreateQueue(pb.CreateQueueRequest(parent="projects/default", queue_id="support", spec=spec))
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield Visitor(host, http, stub)


async def test_who_is_not_signed_in_is_led_to_the_sign_in_and_back(visitor: Visitor) -> None:
    led = await visitor.get(QUEUE)
    assert led.status == 303
    assert led.headers["location"] == f"/signin?next={QUEUE.replace('/', '%2F')}"
    told = await visitor.post(f"{QUEUE}/lease", headers=JSON)
    assert (told.status, (await told.json())["reason"]) == (401, "SIGN_IN_NEEDED")
    form = await visitor.get(f"/signin?next={QUEUE}")
    assert f'name="next" value="{QUEUE}"' in await form.text()
    signed = await visitor.post("/signin", data={"token": visitor.host.token, "next": QUEUE})
    assert (signed.status, signed.headers["location"]) == (303, QUEUE)
    assert (await visitor.get(QUEUE)).status == 200


async def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(visitor: Visitor) -> None:
    signed = await visitor.post("/signin", data={"token": visitor.host.token})
    for cookie in signed.headers.getall("set-cookie"):
        assert "httponly" in cookie.lower() and "samesite=strict" in cookie.lower()
        assert visitor.host.token not in cookie


async def test_a_wrong_token_signs_nobody_in_and_is_not_shown_again(visitor: Visitor) -> None:
    refused = await visitor.post("/signin", data={"token": "guess-<b>", "next": "//evil.example"})
    text = await refused.text()
    assert refused.status == 401 and "guess" not in text and "evil" not in text
    assert (await visitor.get(QUEUE)).status == 303


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:1", "/a\nb"])
async def test_a_sign_in_leads_nowhere_but_here(visitor: Visitor, path: str) -> None:
    signed = await visitor.post("/signin", data={"token": visitor.host.token, "next": path})
    assert signed.headers["location"] == "/"


async def test_a_link_signs_in_once(visitor: Visitor) -> None:
    link = visitor.link().removeprefix(visitor.url)
    assert (await visitor.get(link)).status == 303
    assert (await visitor.get(QUEUE)).status == 200
    visitor.http.cookie_jar.clear()
    again = await visitor.get(link)
    assert again.status == 401 and "has been used" in await again.text()
    assert (await visitor.get(QUEUE)).status == 303


async def test_a_post_without_the_pages_token_or_from_another_site_changes_nothing(visitor: Visitor) -> None:
    csrf = await visitor.sign_in()
    for headers in ({}, {"X-CSRF-Token": "x"}, {"X-CSRF-Token": csrf, "Sec-Fetch-Site": "cross-site"}):
        refused = await visitor.post(f"{QUEUE}/lease", headers={**JSON, **headers})
        assert (refused.status, (await refused.json())["reason"]) == (403, "REFUSED")
    assert (await visitor.post("/signout", data={"csrf": "x"})).status == 403
    queue = await visitor.stub.GetQueue(pb.GetQueueRequest(name=QUEUE[1:]))
    assert queue.counts.leased == 0
    leased = await visitor.post(f"{QUEUE}/lease", headers={**JSON, "X-CSRF-Token": csrf})
    assert (await leased.json())["task"]["text"]


async def test_signing_out_ends_the_session_and_signing_in_again_finds_the_same_task(visitor: Visitor) -> None:
    csrf = await visitor.sign_in()
    first = await (await visitor.post(f"{QUEUE}/lease", headers={**JSON, "X-CSRF-Token": csrf})).json()
    out = await visitor.post("/signout", data={"csrf": csrf})
    assert out.status == 303
    assert (await visitor.get(QUEUE)).status == 303
    csrf = await visitor.sign_in()
    again = await (await visitor.post(f"{QUEUE}/lease", headers={**JSON, "X-CSRF-Token": csrf})).json()
    assert again["task"]["name"] == first["task"]["name"]
    assert again["task"]["lease"]["token"] == first["task"]["lease"]["token"]


async def test_every_answer_carries_the_policy_and_no_page_is_kept(visitor: Visitor) -> None:
    await visitor.sign_in()
    for path in ("/", "/signin", QUEUE, "/static/review.js", "/absent", f"{QUEUE}x", "/healthz"):
        answer = await visitor.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        if answer.content_type == "text/html":
            assert answer.headers["cache-control"] == "no-store"
    assert (await visitor.get(f"{QUEUE}x")).status == 404
    assert (await visitor.get("/projects/NOT A PROJECT/queues")).status == 400


async def test_a_body_that_is_too_large_or_without_length_is_not_read(visitor: Visitor) -> None:
    large = await visitor.post("/signin", data=b"x" * ((1 << 20) + 1))
    assert large.status == 413

    async def endless() -> AsyncIterator[bytes]:
        yield b"x"

    assert (await visitor.post("/signin", data=endless())).status == 411


async def test_what_the_service_refuses_is_told_with_its_reason(visitor: Visitor) -> None:
    headers = {**JSON, "X-CSRF-Token": await visitor.sign_in()}
    task = (await (await visitor.post(f"{QUEUE}/lease", headers=headers)).json())["task"]
    path = f"{QUEUE}/tasks/{task['id']}"
    cases = [
        ("submit", {"token": task["lease"]["token"]}, 400, "INVALID_ARGUMENT"),
        ("submit", {"token": task["lease"]["token"], "decision": "accept"}, 400, "INVALID_ARGUMENT"),
        ("submit", {"token": "x"}, 400, "INVALID_ARGUMENT"),
        ("extend", {"token": 99}, 409, "STALE_LEASE"),
        ("release", {"token": 99}, 409, "STALE_LEASE"),
    ]
    for verb, body, status, reason in cases:
        told = await visitor.post(f"{path}/{verb}", json=body, headers=headers)
        assert (told.status, (await told.json())["reason"]) == (status, reason), body
    done = await visitor.post(
        f"{path}/submit", json={"token": task["lease"]["token"], "decision": "decline"}, headers=headers
    )
    assert done.status == 200


async def test_a_port_that_is_taken_is_said_with_what_to_do(visitor: Visitor, start: Start) -> None:
    port = int(visitor.url.rsplit(":", 1)[1])
    with pytest.raises(StartError, match="--console-port"):
        await start(console, console_port=port)


async def test_a_services_silence_is_a_page_that_says_so(visitor: Visitor) -> None:
    await visitor.sign_in()
    assert visitor.host.parts is not None
    await visitor.host.parts.channel.close()
    answers = await asyncio.gather(visitor.get(QUEUE), visitor.get("/healthz"))
    assert answers[0].status in (500, 503) and "Traceback" not in await answers[0].text()
    assert answers[1].status == 200
