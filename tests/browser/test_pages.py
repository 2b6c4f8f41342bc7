"""What holds for every page: the policy, narrow screens, names of controls, contrast."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Site

LISTEN = "window.broken = []; addEventListener('securitypolicyviolation', e => broken.push(e.violatedDirective));"
UNNAMED = """[...document.querySelectorAll('input:not([type=hidden]), textarea, select, button, a, progress')]
  .filter(e => e.checkVisibility() && !(e.labels?.length || e.innerText?.trim() || e.ariaLabel
    || e.getAttribute('aria-labelledby'))).map(e => e.outerHTML)"""
CONTRASTS = """() => {
  const rgb = c => (c.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => c.slice(0, 3).map(v => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c; } };
  return [...document.querySelectorAll('body *')].filter(e => e.checkVisibility()
      && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    return [(a + .05) / (b + .05), e.tagName + '.' + e.className + ' ' + e.textContent.trim().slice(0, 30)]; });
}"""


async def every_page(site: Site, page: Page) -> Any:
    """Goes to each page in turn."""
    await page.goto(f"{site.url}/signin")
    yield "signin"
    await page.goto(site.link())
    yield "queues"
    await page.goto(f"{site.url}/{site.queue}")
    await expect(page.locator("#example")).to_be_visible()
    await page.keyboard.press("5")
    await page.keyboard.press("d")
    await page.keyboard.press("e")
    yield "review"
    await page.goto(f"{site.url}/projects/default/queues/absent")
    yield "error"


async def test_no_page_breaks_its_policy_and_inline_script_and_style_are_refused(site: Site) -> None:
    context = await site.context()
    await context.add_init_script(LISTEN)
    page = await context.new_page()
    async for name in every_page(site, page):
        assert await page.evaluate("broken") == [], name
        await page.evaluate(
            """() => { const made = document.createElement('div'); made.setAttribute('style', 'color: red');
              document.body.append(made); const s = document.createElement('script');
              try { s.text = 'window.ran = 1' } catch { window.typed = 1 } document.body.append(s); }"""
        )
        assert await page.evaluate("window.ran") is None
        assert await page.evaluate("window.typed") == 1
        await page.wait_for_function("broken.some(name => name.startsWith('style-src'))")


@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_no_page_is_wider_than_the_screen_and_every_control_has_a_name(site: Site, width: int) -> None:
    page = await (await site.context(viewport={"width": width, "height": 800})).new_page()
    async for name in every_page(site, page):
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert await page.evaluate(UNNAMED) == [], name


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_stands_out_from_its_ground(site: Site, scheme: Any) -> None:
    page = await (await site.context(color_scheme=scheme, reduced_motion="reduce")).new_page()
    async for name in every_page(site, page):
        found = await page.evaluate(CONTRASTS)
        assert len(found) > 3
        assert [pair for pair in found if pair[0] < 4.5] == [], name
