"""Chromium for tests: pages that may not complain, and pictures of them to be looked at."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

PICTURES = Path(__file__).parents[1] / "test-results"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
]
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield running
        running.close()


@contextmanager
def page_of(browser: Browser, url: str) -> Iterator[Page]:
    """Give a page in a context of its own; in the end it must not have complained."""
    context = browser.new_context(base_url=url, viewport=DESKTOP)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else 0)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.set_default_timeout(10_000)
    yield page
    context.close()
    # The browser reports every answer above 399 as an error: those are looked at by the tests.
    assert [text for text in wrong if "Failed to load resource" not in text] == []


def picture(page: Page, name: str) -> None:
    """Take the page on a desktop and on a phone, light and dark; it must fit the phone's width."""
    for size, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
        page.set_viewport_size(viewport)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            expect(page.locator("html")).to_have_attribute("data-bs-theme", theme)
            page.screenshot(path=PICTURES / f"{name}-{size}-{theme}.png", full_page=True)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= viewport["width"], f"{name} is {wide} pixels wide on a {size}"
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light")
