"""The desk opens for its people, and for nobody else."""

import pytest
from playwright.sync_api import Browser, expect

from tests.acceptance.stacks import Stack
from tests.browser import desk

pytestmark = desk.NEEDS_CHROMIUM


@pytest.mark.parametrize("user", desk.USERS)
def test_opens_for_each_role(visit: desk.Visit, user: str) -> None:
    page = visit("/admin/", user=user)

    expect(page.get_by_role("link", name="Requests", exact=True).first).to_be_visible()


def test_asks_strangers_who_they_are(browser: Browser, stack: Stack) -> None:
    page = browser.new_page(base_url=f"http://127.0.0.1:{stack.port}")
    page.goto("/admin/")

    page.locator("[name=username]").fill("administrator")
    page.locator("[name=password]").fill("guessed")
    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()
    desk.check_accessible(page)
    page.close()
