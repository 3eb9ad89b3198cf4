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


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_a_switch_shows_that_the_keyboard_is_on_it(visit: desk.Visit, color_scheme: str) -> None:
    """Unfold draws the switches itself, and takes the browser's own ring away."""
    page = visit("/admin/orchestrator/client/add/", color_scheme=color_scheme)
    switch = page.locator("#id_all_types")

    page.locator("#id_scopes input, #id_all_scopes").last.focus()
    page.keyboard.press("Tab")

    expect(switch).to_be_focused()
    expect(switch).to_have_css("outline-style", "solid")
    desk.check_accessible(page)


def test_a_word_without_end_fits_a_phone(visit: desk.Visit, stack: Stack) -> None:
    order = {"accessId": "STTA0001", "service": "TV-1", "operation": "ACTIVATE", "forcedTakeover": True}
    placed = stack.call("POST", "/api/2.3.1/orders", json={**order, "spReference": "w" * 200})
    assert placed.status_code == 201, placed.text

    page = visit(f"/admin/orders/order/{placed.json()['path'].rpartition('/')[2]}/change/", viewport=desk.PHONE)

    expect(page.get_by_text("w" * 200)).to_be_visible()
    desk.check_no_sideways_scrolling(page)
