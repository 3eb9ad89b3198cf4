"""The desk opens for its people, and for nobody else."""

from typing import Any

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


@pytest.mark.parametrize("look", [{"color_scheme": "dark"}, {"viewport": desk.PHONE}])
def test_says_on_a_page_of_its_own_what_is_not_there_or_not_allowed(visit: desk.Visit, look: dict[str, Any]) -> None:
    missing = visit("/admin/nowhere/", quiet=False, **look)
    forbidden = visit("/admin/auth/user/", user="viewer", quiet=False, **look)

    for page, told in ((missing, "There is no such page"), (forbidden, "Your roles don't allow this")):
        expect(page.get_by_role("alert")).to_contain_text(told)
        desk.check_accessible(page)
        desk.check_no_sideways_scrolling(page)
        expect(page.get_by_role("link", name="To the desk's first page")).to_be_visible()
