"""Signing in at a real issuer, in a real browser: the code flow, sign-out, and an invitation followed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import grpc
import portpicker
import pytest
from cultivar.identity.v1 import identity_pb2, identity_pb2_grpc
from cultivar_service.serving import Host
from playwright.async_api import Browser, Page, expect

from tests.conftest import Start
from tests.consoles import console_of, start_with_issuer
from tests.issuer import PASSWORD, RealIssuer

LISTEN = "window.broken = []; addEventListener('securitypolicyviolation', e => broken.push(e.violatedDirective));"


@dataclass
class Door:
    """A console with an issuer, and a browser that knows nobody."""

    host: Host
    issuer: RealIssuer
    page: Page

    @property
    def url(self) -> str:
        """The address of the console."""
        return console_of(self.host)

    async def enter(self, name: str) -> None:
        """Types name and password at the issuer, and consents where it asks."""
        assert urlsplit(self.page.url).port == urlsplit(self.issuer.url).port
        await self.page.fill("input[name=login]", name)
        await self.page.keyboard.press("Enter")
        await self.page.fill("input[name=password]", PASSWORD)
        await self.page.keyboard.press("Enter")
        await self.page.wait_for_url(f"{self.url}/**")


@pytest.fixture
async def door(start: Start, issuer: RealIssuer, browser: Browser) -> AsyncIterator[Door]:
    """A console whose people are at the issuer."""
    client = f"console-{uuid4().hex[:6]}"
    host = await start_with_issuer(start, issuer, client, oidc_cli_client_id=f"cli-{client}")
    context = await browser.new_context()
    await context.add_init_script(LISTEN)
    yield Door(host, issuer, await context.new_page())
    await context.close()


async def test_a_person_signs_in_with_their_password_at_the_issuer_and_out_again(door: Door) -> None:
    name = f"ada-{uuid4().hex[:6]}"
    door.issuer.add_person(name, "cultivar:support:reviewer")
    await door.page.goto(door.url)
    await door.enter(name)
    await expect(door.page.get_by_role("heading", name="Review")).to_be_visible()
    assert door.page.url == f"{door.url}/projects/support/queues"
    await expect(door.page.get_by_text(name)).to_be_visible()
    assert await door.page.evaluate("document.cookie") == "", "scripts see no cookie"
    assert await door.page.evaluate("broken") == []
    cookies = {cookie["name"]: cookie for cookie in await door.page.context.cookies(door.url)}
    kept = cookies["cultivar_session"]
    assert (kept["httpOnly"], kept["sameSite"], len(kept["value"])) == (True, "Lax", 43)
    await door.page.get_by_role("button", name="Sign out").click()
    await expect(door.page.get_by_text("You are signed out at your organisation too.")).to_be_visible()
    assert await door.page.evaluate("broken") == []
    # Nobody is signed in at the issuer any more, which asks for the name again.
    await door.page.get_by_role("link", name="Sign in again").click()
    await expect(door.page.locator("input[name=login]")).to_be_visible()
    assert urlsplit(door.page.url).port == urlsplit(door.issuer.url).port


async def test_an_invitation_in_a_letter_makes_a_reviewer_of_who_signs_in_through_it(door: Door) -> None:
    name = f"bob-{uuid4().hex[:6]}"
    door.issuer.add_person(name)
    async with grpc.aio.insecure_channel(door.host.listening.address) as channel:
        stub: Any = identity_pb2_grpc.IdentityServiceStub(channel)
        admin = [("authorization", f"Bearer {door.issuer.signed(sub='root', groups=['cultivar:support:admin'])}")]
        asked = identity_pb2.CreateInvitationRequest(parent="projects/support")
        made = await stub.CreateInvitation(asked, metadata=admin)
        await door.page.goto(f"{door.url}/{made.name}?secret={made.secret}")
        await door.enter(name)
        await expect(door.page.get_by_text("Accepting makes you a reviewer of the project support")).to_be_visible()
        await door.page.get_by_role("button", name="Accept").click()
        await expect(door.page.get_by_text("No examples wait for a review")).to_be_visible()
        listed = await stub.ListRoleBindings(
            identity_pb2.ListRoleBindingsRequest(parent="projects/support"), metadata=admin
        )
    assert [binding.principal for binding in listed.role_bindings] == [name]
    await door.page.goto(f"{door.url}/{made.name}?secret=guess")
    await door.page.get_by_role("button", name="Accept").click()
    await expect(door.page.get_by_text("There is no such invitation: ask an admin")).to_be_visible()


async def test_a_person_signs_in_on_the_command_line_through_the_browser(door: Door, tmp_path: Path) -> None:
    name, client, port = f"eve-{uuid4().hex[:6]}", door.host.settings.oidc_cli_client_id, portpicker.pick_unused_port()
    door.issuer.add_person(name, "cultivar:support:engineer")
    door.issuer.add_client(client, f"http://127.0.0.1:{port}/callback", public=True)
    here = {"CULTIVAR_ADDRESS": door.host.listening.address, "XDG_CONFIG_HOME": str(tmp_path)}
    program = str(Path(sys.executable).with_name("cultivar"))

    async def typed(*words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            program, *words, env={**os.environ, **here}, stdout=asyncio.subprocess.PIPE
        )

    login = await typed("login", "--no-browser", "--port", str(port))
    assert login.stdout is not None
    lines = [line.decode() async for line in until_address(login.stdout)]
    await door.page.goto(lines[-1].strip())
    await door.page.fill("input[name=login]", name)
    await door.page.keyboard.press("Enter")
    await door.page.fill("input[name=password]", PASSWORD)
    await door.page.keyboard.press("Enter")
    await expect(door.page.get_by_role("heading", name="You are signed in")).to_be_visible()
    assert await door.page.evaluate("broken") == []
    assert f"{name} is signed in at" in (await login.stdout.read()).decode()
    assert await login.wait() == 0
    who = await typed("whoami")
    said, _ = await who.communicate()
    assert said.decode().split() == [name, "project", "role", "support", "engineer"]


async def until_address(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yields lines up to the one that is an address."""
    async for line in lines:
        yield line
        if line.startswith(b"http"):
            return
