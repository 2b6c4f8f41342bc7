"""`make demo REVIEW=me`: the demonstration waits in the console for its reviewer, and goes on when all is reviewed."""

import asyncio
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import yaml
from cultivar_models.fake import FakeTeacher
from playwright.async_api import Browser, Page, expect

from tests.whole import left_over

SUPPORT = Path("examples/support")
TASKS = 3


def small_campaign(folder: Path) -> Path:
    """The support example with few candidates and two arms."""
    shutil.copytree(SUPPORT, folder)
    config = yaml.safe_load((folder / "campaign.yaml").read_text())
    config["generate"] = [{"strategy": "expand", "count": 24}]
    config["review"] |= {"by": "stand-in", "sample": TASKS}
    config["evaluate"] = {"arms": ["base", "real_reviewed"]}
    (folder / "campaign.yaml").write_text(yaml.safe_dump(config))
    return folder / "campaign.yaml"


async def test_the_demonstration_waits_for_a_person_goes_on_when_all_is_reviewed_and_stops_at_ctrl_c(
    browser: Browser, teacher: FakeTeacher, data_dir: Path, tmp_path: Path
) -> None:
    words = ("demo", str(small_campaign(tmp_path / "support")), "--review", "me")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from cultivar.cli.main import app; app()", *words, "--data-dir", str(data_dir)),
        env={**os.environ, "CULTIVAR_TEACHERS_URL": teacher.url, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    said = await said_until(process.stdout, "signin")
    link = re.findall(r"http://\S+/signin\S+", said)[0]
    said = await said_until(process.stdout, "/queues/")
    found = re.findall(r"http://\S+/queues/[\w-]+", said)
    assert found, said
    page = await browser.new_page()
    await page.goto(link)
    await page.goto(found[0])
    for done in range(TASKS):
        await review(page, done + 1)
    await expect(page.get_by_role("heading", name="All reviewed, thank you")).to_be_visible()
    assert f"{TASKS} accepted" in await said_until(process.stdout, "review: succeeded")
    process.send_signal(signal.SIGINT)
    rest = (await asyncio.wait_for(process.stdout.read(), 60)).decode()
    assert f"Stopped. `cultivar up --data-dir {data_dir}` lets the campaign go on." in rest
    assert await process.wait() == 0
    assert left_over(data_dir) == []


async def review(page: Page, number: int) -> None:
    """Accepts a task by keyboard."""
    await expect(page.locator("#example")).to_be_visible()
    for key in ("5", "5", "a", "Enter"):
        await page.keyboard.press(key)
    if number < TASKS:
        await expect(page.locator("#progress-text")).to_have_text(f"{number} of {TASKS} reviewed")


async def said_until(stream: asyncio.StreamReader, word: str) -> str:
    """Reads lines up to the first that has a word in it, and returns that line."""
    said, seen = "", list[str]()
    async with asyncio.timeout(90):
        while word not in said:
            line = await stream.readline()
            seen.append(line.decode())
            assert line, "".join(seen)
            said = line.decode()
    return said
