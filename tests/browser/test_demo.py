"""`make demo REVIEW=me`: the demonstration waits in the console for its reviewer, and goes on when all is reviewed."""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import yaml
from cultivar_models.fake import FakeTeacher
from playwright.async_api import Browser, Page, expect

SUPPORT = Path("examples/support")
TASKS = 3


def small_campaign(folder: Path) -> Path:
    """The support example with few candidates and the untrained arm alone."""
    shutil.copytree(SUPPORT, folder)
    config = yaml.safe_load((folder / "campaign.yaml").read_text())
    config["generate"] = [{"strategy": "expand", "count": 24}]
    config["review"] |= {"by": "stand-in", "sample": TASKS}
    config["evaluate"] = {"arms": ["base"]}
    (folder / "campaign.yaml").write_text(yaml.safe_dump(config))
    return folder / "campaign.yaml"


async def test_a_person_who_reviews_the_demonstration_gets_its_report(
    browser: Browser, teacher: FakeTeacher, data_dir: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    words = ("demo", str(small_campaign(tmp_path / "support")), "--review", "me", "-o", str(report))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from cultivar.cli.main import app; app()", *words, "--data-dir", str(data_dir)),
        env={**os.environ, "CULTIVAR_TEACHERS_URL": teacher.url, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    said = await said_until(process.stdout, "signin")
    link = re.findall(r"http://\S+/signin\S+", said)[0]
    said = await said_until(process.stdout, "/queues/")
    queue = re.findall(r"http://\S+/queues/[\w-]+", said)[0]
    page = await browser.new_page()
    await page.goto(link)
    await page.goto(queue)
    for done in range(TASKS):
        await review(page, done + 1)
    await expect(page.get_by_role("heading", name="All reviewed, thank you")).to_be_visible()
    rest = (await asyncio.wait_for(process.stdout.read(), 60)).decode()
    assert await process.wait() == 0, rest
    assert "No person reviewed" not in report.read_text()
    assert f"{TASKS} accepted" in rest


async def review(page: Page, number: int) -> None:
    """Accepts a task by keyboard."""
    await expect(page.locator("#example")).to_be_visible()
    for key in ("5", "5", "a", "Enter"):
        await page.keyboard.press(key)
    if number < TASKS:
        await expect(page.locator("#progress-text")).to_have_text(f"{number} of {TASKS} reviewed")


async def said_until(stream: asyncio.StreamReader, word: str) -> str:
    """Reads lines up to the first that has a word in it, and returns that line."""
    said = ""
    async with asyncio.timeout(90):
        while word not in said:
            line = await stream.readline()
            assert line, "it ended before"
            said = line.decode()
    return said
