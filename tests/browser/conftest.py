"""Fixtures of the browser tests: one stack a test process, one browser a module; see `desk.py`."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, StorageState, expect, sync_playwright

from config.embedded import processes
from tests.acceptance import stacks
from tests.acceptance.stacks import Stack
from tests.browser import desk

expect.set_options(timeout=30_000)  # a busy machine is no fault of the page's

QUICK = {  # what is seen is at most this old
    "WAYBILL_HEARTBEAT": "0.5",
    "WAYBILL_TYPES_CACHE_SECONDS": "0.5",
}


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """`make up` with one user of each role; shared by all browser tests of this process."""
    with stacks.new_home() as home:
        running = stacks.ready(home, port=processes.free_port(), environment=QUICK)
        try:
            desk.make_users(home)
            yield running
        finally:
            running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Of a module: while playwright runs, Django takes the thread for one with an event loop."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=desk.CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def logged_in(stack: Stack, browser: Browser) -> dict[str, StorageState]:
    """The cookies of those who have logged in, each once."""
    return {}


@pytest.fixture
def visit(stack: Stack, browser: Browser, logged_in: dict[str, StorageState]) -> Iterator[desk.Visit]:
    """Open a page of the desk as somebody, in a window of its own."""
    troubles: list[str] = []
    with ExitStack() as contexts:

        def open_page(path: str, *, user: str = "administrator", quiet: bool = True, **options: Any) -> Page:
            if user not in logged_in:
                logged_in[user] = _log_in(browser, stack, user)
            context = _new_context(browser, stack, storage_state=logged_in[user], **options)
            contexts.callback(context.close)
            page = context.new_page()
            if quiet:
                _listen(page, troubles)
            page.goto(path, wait_until="domcontentloaded")
            return page

        yield open_page
    assert not troubles, "\n".join(troubles)


def _log_in(browser: Browser, stack: Stack, user: str) -> StorageState:
    """Log in as people do, and keep the cookies."""
    context = _new_context(browser, stack)
    page = context.new_page()
    page.goto("/admin/")
    page.locator("[name=username]").fill(user)
    page.locator("[name=password]").fill(desk.PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("[name=username]")).to_have_count(0)
    state = context.storage_state()
    context.close()
    return state


def _new_context(browser: Browser, stack: Stack, **options: Any) -> BrowserContext:
    address = f"http://127.0.0.1:{stack.port}"
    context = browser.new_context(**{"base_url": address, "viewport": desk.DESKTOP, **options})
    context.set_default_timeout(60_000)
    return context


def _listen(page: Page, troubles: list[str]) -> None:
    """Note what goes wrong in the browser without being seen."""

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            troubles.append(f"{page.url}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda error: troubles.append(f"{page.url}: {error}"))
