"""A real browser, and what people do with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.parts import missing
from tests.processes import DEADLINE, poll

#: The browser is the distribution's, asks nobody but us, and keeps nothing.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def browsing() -> Iterator[Browser]:
    """Run the distribution's Chromium; where it is missing the tests are skipped, under ``CI=true`` they fail."""
    program = shutil.which("chromium")
    if program is None:
        missing("there is no chromium on PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def person(browser: Browser, name: str = "alice", **options: Any) -> Iterator[BrowserContext]:
    """A browser of somebody, signed in to Grafana unless ``name`` is empty."""
    context = browser.new_context(**options)
    context.set_default_timeout(1000 * DEADLINE)
    if name:
        context.add_cookies(
            [
                {
                    "name": "grafana_session",
                    "value": f"{name}-session",
                    "domain": "127.0.0.1",
                    "path": "/",
                    "httpOnly": True,
                }
            ]
        )
    yield context
    context.close()


def opened(context: BrowserContext, url: str) -> Page:
    """Click a link, as in a dashboard, and return the page that it leads to."""
    page = context.new_page()
    page.set_content('<a id="kill">Kill</a>')
    page.locator("#kill").evaluate("(anchor, url) => { anchor.href = url; }", url)
    page.click("#kill")
    page.wait_for_load_state()
    return page


def state_of(page: Page) -> str:
    """Wait until the state page is final, and return the state."""
    page.wait_for_url("**/kills/*")
    poll(lambda: page.locator("meta[http-equiv]").count() == 0)
    return page.locator("dd code").first.inner_text()
