"""What the console's tests share: people with a browser of their own, who sign in at a real issuer."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import aiohttp
import pytest
from cultivar_service.serving import Host

from tests.conftest import Start
from tests.consoles import console_of, start_with_issuer
from tests.issuer import RealIssuer

QUEUES = "/projects/default/queues"


@dataclass
class Person:
    """Somebody with a browser of their own."""

    issuer: RealIssuer
    host: Host
    http: aiohttp.ClientSession
    name: str

    @property
    def url(self) -> str:
        """The address of the console."""
        return console_of(self.host)

    async def get(self, path: str) -> aiohttp.ClientResponse:
        """Gets a page, here or elsewhere, without following where it leads."""
        return await self.http.get(path if path.startswith("http") else self.url + path, allow_redirects=False)

    async def asked(self, next: str = QUEUES) -> tuple[str, dict[str, str]]:
        """Begins to sign in; returns where the browser is sent, and the parameters there."""
        sent = await self.get(f"/signin?{urlencode({'next': next})}")
        assert sent.status == 303
        query = parse_qs(urlsplit(sent.headers["location"]).query)
        return sent.headers["location"], {name: values[0] for name, values in query.items()}

    async def answered(self, next: str = QUEUES) -> str:
        """Signs in at the issuer; returns where it sends the browser back."""
        where, _ = await self.asked(next)
        self.issuer.enter(self.name)
        back = await self.get(where)
        assert back.status in (302, 303), await back.text()
        return back.headers["location"]

    async def sign_in(self, next: str = QUEUES) -> aiohttp.ClientResponse:
        """Signs in and returns the answer of the console."""
        return await self.get(await self.answered(next))

    async def csrf(self, page: str) -> str:
        """Returns the token of the pages of the session."""
        text = await (await self.get(page)).text()
        return text.split('name="csrf" value="')[1].split('"')[0]


@pytest.fixture
async def person(start: Start, issuer: RealIssuer) -> AsyncIterator[Person]:
    """A console at which people sign in at the issuer, and an engineer there."""
    client, name = f"console-{uuid4().hex[:6]}", f"ada-{uuid4().hex[:6]}"
    host = await start_with_issuer(start, issuer, client)
    issuer.add_person(name, "cultivar:default:engineer")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield Person(issuer, host, http, name)
        issuer.leave()
