"""A reviewer at work, in real Chromium."""

import asyncio

from cultivar.review.v1 import review_pb2 as pb
from cultivar_records import Example
from playwright.async_api import Page, expect

from tests.browser.conftest import Site
from tests.seeds import TEXTS, seeds

HOSTILE = "<img src=x onerror=\"window.ran='img'\"><script>window.ran='script'</script>{{ 7*7 }} &amp; <b>bold</b>"


async def shows_task(page: Page) -> str:
    """Waits for a task and returns its text."""
    await expect(page.locator("#example")).to_be_visible()
    return await page.locator("#messages .text").last.inner_text()


async def press(page: Page, *keys: str) -> None:
    """Presses keys one after the other."""
    for key in keys:
        await page.keyboard.press(key)


async def submit_and_wait(page: Page, reviewed: str) -> None:
    """Presses Enter and waits until the progress says so."""
    await page.keyboard.press("Enter")
    await expect(page.locator("#progress-text")).to_have_text(reviewed)


async def test_a_person_signs_in_and_reviews_three_tasks_by_keyboard_alone(empty_site: Site) -> None:
    site = empty_site
    await site.create(seeds()[:3])
    page = await (await site.context()).new_page()
    await page.goto(site.url)
    await expect(page.get_by_label("Token")).to_be_focused()
    await page.keyboard.type(site.host.token)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Review")).to_be_visible()
    while await page.evaluate("document.activeElement.getAttribute('aria-label')") != "Review support":
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await shows_task(page)
    await press(page, "5", "4", "a")
    await submit_and_wait(page, "1 of 3 reviewed")
    await press(page, "d", "t", "Tab", "Space", "c")
    await page.keyboard.type("says little")
    await page.keyboard.press("Escape")
    await submit_and_wait(page, "2 of 3 reviewed")
    text = await shows_task(page)
    await press(page, "?", "Escape", "e", "End")
    await page.keyboard.type(", please")
    await press(page, "Escape", "3", "2", "ArrowUp", "4", "a", "Enter")
    await expect(page.get_by_role("heading", name="All reviewed, thank you")).to_be_visible()
    await expect(page.locator("#progress-text")).to_have_text("3 of 3 reviewed")
    reviews = await site.reviews()
    assert sorted(tuple(sorted(review.scores.items())) for review in reviews) == [
        (),
        (("accuracy", 4), ("tone", 2)),
        (("accuracy", 5), ("tone", 4)),
    ]
    declined = next(review for review in reviews if review.decision == pb.DECISION_DECLINE)
    assert (list(declined.tags), declined.comment) == (["copy"], "says little")
    accepted = await site.accepted()
    assert f"{text}, please" in {example.text for example in accepted}
    assert {review.reviewer_kind for review in reviews} == {pb.REVIEWER_KIND_PERSON}


async def test_a_label_is_corrected_and_a_decision_without_scores_is_asked_for_them(empty_site: Site) -> None:
    site = empty_site
    first = next(example for example in seeds() if example.label == "refund")
    await site.create([first])
    page = await site.open()
    await shows_task(page)
    await press(page, "a", "Enter")
    await expect(page.locator("#notice")).to_contain_text("Score accuracy first")
    await press(page, "2", "3", "e", "Tab", "d", "Escape", "Enter")
    await expect(page.locator("#end-title")).to_have_text("All reviewed, thank you")
    assert [review.label for review in await site.reviews()] == ["delivery"]
    assert [example.answer for example in await site.accepted()] == ["delivery"]


async def test_markup_of_examples_seeds_and_guidelines_is_shown_and_not_run(empty_site: Site) -> None:
    site = empty_site
    await site.create(
        [hostile(seeds()[0])], guidelines=f"# {HOSTILE}\n\n[a](javascript:window.ran='link')\n\n{HOSTILE}"
    )
    page = await site.open()
    assert await shows_task(page) == HOSTILE
    guidelines = page.locator(".prose")
    await expect(guidelines).to_contain_text("<script>window.ran='script'</script>")
    assert await guidelines.locator("img, script, b, a[href^=javascript]").count() == 0
    assert await page.locator("#messages *").count() == 2
    assert await page.evaluate("window.ran") is None


def hostile(example: Example) -> Example:
    """An example whose text is markup."""
    turn = example.messages[0].model_copy(update={"content": HOSTILE})
    return example.model_copy(update={"messages": (turn, example.messages[1])})


async def test_two_browsers_never_get_one_task_and_two_tabs_of_one_do(empty_site: Site) -> None:
    site = empty_site
    await site.create(seeds()[:2])
    first, second = await site.open(), await site.open()
    texts = {await shows_task(first), await shows_task(second)}
    assert texts == set(TEXTS["refund"][:2])
    tab = await first.context.new_page()
    await tab.goto(first.url)
    assert await shows_task(tab) == await shows_task(first)
    third = await site.open()
    await expect(third.locator("#end-title")).to_have_text("All that is left is being read")


async def test_a_skipped_task_goes_to_the_next_and_comes_back_last(empty_site: Site) -> None:
    site = empty_site
    await site.create(seeds()[:2])
    page = await site.open()
    skipped = await shows_task(page)
    await page.keyboard.press("s")
    await expect(page.locator("#messages .text").last).not_to_have_text(skipped)
    await press(page, "d")
    await submit_and_wait(page, "1 of 2 reviewed")
    assert await shows_task(page) == skipped


async def test_a_draft_is_there_again_after_the_page_was_left(site: Site) -> None:
    page = await site.open()
    text = await shows_task(page)
    await press(page, "4", "d", "c")
    await page.keyboard.type("half a thou")
    await page.reload()
    assert await shows_task(page) == text
    await expect(page.locator("#comment")).to_have_value("half a thou")
    await expect(page.locator("input[name=decision][value=decline]")).to_be_checked()
    await expect(page.locator("input[name=score-accuracy][value='4']")).to_be_checked()
    await press(page, "Enter")
    await expect(page.locator("#progress-text")).to_have_text("1 of 6 reviewed")
    assert await page.evaluate("Object.keys(localStorage).length") == 0


async def test_an_open_page_keeps_its_task_beyond_the_time_of_the_lease(empty_site: Site) -> None:
    site = empty_site
    await site.create(seeds()[:1], lease_seconds=2)
    page = await site.open()
    await shows_task(page)
    for _ in range(8):
        answer = await site.stub.LeaseTask(pb.LeaseTaskRequest(name=site.queue, seat="another"))
        assert answer.no_task == pb.NO_TASK_ALL_LEASED
        await asyncio.sleep(0.5)
    await press(page, "d", "Enter")
    await expect(page.locator("#end-title")).to_have_text("All reviewed, thank you")


async def test_who_was_cut_off_and_lost_the_task_still_has_every_word(empty_site: Site) -> None:
    site = empty_site
    await site.create(seeds()[:2], lease_seconds=2)
    page = await site.open()
    mine = await shows_task(page)
    await press(page, "d", "c")
    await page.keyboard.type("words that matter")
    await page.keyboard.press("Escape")
    await page.context.set_offline(True)
    await page.keyboard.press("Enter")
    await expect(page.locator("#notice")).to_contain_text("What you wrote is kept here")
    await review_by_another(site, mine)
    await page.context.set_offline(False)
    await expect(page.locator("#lost")).to_be_visible(timeout=10_000)
    await expect(page.locator("#lost-text")).to_contain_text("words that matter")
    await page.keyboard.press("Enter")
    assert await shows_task(page) != mine
    assert [review.comment for review in await site.reviews()] == ["another's"]


async def review_by_another(site: Site, text: str) -> None:
    """Lets another seat review the task of a text, once its lease has lapsed."""
    async with asyncio.timeout(10):
        task = await lease_of(site, text)
    said = pb.Review(decision=pb.DECISION_DECLINE, comment="another's", reviewer_kind=pb.REVIEWER_KIND_PERSON)
    await site.stub.SubmitReview(pb.SubmitReviewRequest(name=task.name, lease_token=task.lease.token, review=said))


async def lease_of(site: Site, text: str) -> pb.ReviewTask:
    """Leases until the task of a text comes, and gives the others back."""
    while True:
        task = (await site.stub.LeaseTask(pb.LeaseTaskRequest(name=site.queue, seat="another"))).task
        if task.name and task.example.messages[0].content == text:
            return task
        if task.name:
            await site.stub.ReleaseTask(pb.ReleaseTaskRequest(name=task.name, lease_token=task.lease.token))
        await asyncio.sleep(0.1)


async def test_who_was_cut_off_and_lost_nothing_submits_as_if_nothing_had_been(empty_site: Site) -> None:
    site = empty_site
    await site.create(seeds()[:1], lease_seconds=1)
    page = await site.open()
    await shows_task(page)
    await press(page, "d", "c")
    await page.keyboard.type("kept")
    await page.keyboard.press("Escape")
    await page.context.set_offline(True)
    await asyncio.sleep(1.5)
    await page.context.set_offline(False)
    await page.keyboard.press("Enter")
    await expect(page.locator("#end-title")).to_have_text("All reviewed, thank you", timeout=10_000)
    assert [review.comment for review in await site.reviews()] == ["kept"]


async def test_a_queue_that_is_closed_meanwhile_says_so_and_keeps_the_words(site: Site) -> None:
    page = await site.open()
    await shows_task(page)
    await press(page, "d", "c")
    await page.keyboard.type("too late")
    await page.keyboard.press("Escape")
    await site.accepted()
    await page.keyboard.press("Enter")
    await expect(page.locator("#lost-title")).to_have_text("This queue was closed before you submitted")
    await expect(page.locator("#lost-text")).to_contain_text("too late")
    await page.keyboard.press("Enter")
    await expect(page.locator("#end-title")).to_have_text("This queue is closed")


async def test_a_rejected_answer_and_its_evidence_are_shown_as_text_where_there_are_some(empty_site: Site) -> None:
    site, (plain, other, *_) = empty_site, seeds()
    await site.create([plain, other.model_copy(update={"rejected": HOSTILE, "evidence": ("A passage.", HOSTILE)})])
    page = await site.open()
    for number in (1, 2):
        if await shows_task(page) == other.text:
            await expect(page.locator("#rejected")).to_have_text(HOSTILE)
            assert await page.locator("#evidence .text").all_inner_texts() == ["A passage.", HOSTILE]
        else:
            await expect(page.locator("#rejected-row")).to_be_hidden()
            await expect(page.locator("#evidence")).to_be_hidden()
        await press(page, "d")
        await submit_and_wait(page, f"{number} of 2 reviewed")
    assert await page.evaluate("window.ran ?? null") is None
