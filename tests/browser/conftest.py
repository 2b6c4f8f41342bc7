"""What browser tests share: real Chromium, and a console with one queue to review."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from cultivar.review.v1 import review_pb2 as pb
from cultivar.review.v1 import review_pb2_grpc
from cultivar_artifacts import load_manifest, read_shards
from cultivar_console.__main__ import build as console
from cultivar_records import Example, from_table
from cultivar_review.__main__ import build as review
from cultivar_service.serving import Host
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.conftest import Start
from tests.consoles import console_of
from tests.seeds import TASK, commit_examples, seeds

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
GUIDELINES = (
    "# Guidelines\n\nThe label says what the customer wants **done next**.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program of a Chromium, installed where this process may; else the test is skipped."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=False, capture_output=True, timeout=100)
        found = shutil.which("chromium")
    if found is None:
        pytest.skip("there is no Chromium: install it, as with `apt-get install chromium`")
    return found


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A running Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        await browser.close()


@dataclass
class Site:
    """A console with a queue, the review service behind it, and browsers."""

    host: Host
    stub: Any
    browser: Browser
    queue: str = "projects/default/queues/support"

    @property
    def url(self) -> str:
        """The address of the pages."""
        return console_of(self.host)

    def link(self) -> str:
        """Returns a link that signs in."""
        return next(service.link() for service in self.host.services if service.link)

    async def create(self, examples: list[Example], **spec: Any) -> None:
        """Creates the queue."""
        assert self.host.parts is not None
        name = await commit_examples(self.host.settings.database_url, self.host.parts.store, examples, "kept")
        given = {"examples": name, "task": TASK, "guidelines": GUIDELINES, "tags": ["off-topic", "copy"], **spec}
        request = pb.CreateQueueRequest(parent="projects/default", queue_id="support", spec=pb.QueueSpec(**given))
        await self.stub.CreateQueue(request)

    async def open(self, **context: Any) -> Page:
        """Opens the queue in a browser of its own that has signed in by a link."""
        page = await (await self.context(**context)).new_page()
        await page.goto(self.link())
        await page.goto(f"{self.url}/{self.queue}")
        return page

    async def context(self, **options: Any) -> BrowserContext:
        """Returns a browser of its own, without cookies or drafts."""
        return await self.browser.new_context(**options)

    async def reviews(self) -> list[pb.Review]:
        """Returns the reviews so far."""
        return list((await self.stub.ListReviews(pb.ListReviewsRequest(parent=self.queue))).reviews)

    async def accepted(self) -> list[Example]:
        """Closes the queue and returns what was accepted."""
        assert self.host.parts is not None
        queue = await self.stub.CloseQueue(pb.CloseQueueRequest(name=self.queue))
        manifest = await load_manifest(self.host.parts.store, "default", queue.accepted.split("/")[-1])
        return [one async for table in read_shards(self.host.parts.store, manifest) for one in from_table(table)]


@pytest.fixture
async def empty_site(start: Start, browser: Browser) -> Site:
    """A console without a queue."""
    host = await start(review, console)
    assert host.parts is not None
    return Site(host, review_pb2_grpc.ReviewServiceStub(host.parts.channel), browser)


@pytest.fixture
async def site(empty_site: Site) -> Site:
    """A console with a queue of six examples."""
    await empty_site.create(seeds())
    return empty_site
