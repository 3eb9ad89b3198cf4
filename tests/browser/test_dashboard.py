"""The dashboard as operators use it: work flows before their eyes, lanes are paused, workers drained, on any screen."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.acceptance.stacks import Stack
from tests.browser import desk

pytestmark = desk.NEEDS_CHROMIUM


def row(page: Page, name: str) -> Locator:
    """The row of a lane, a back end or a worker."""
    return page.locator("tr", has=page.get_by_role("rowheader", name=name, exact=True))


def state(page: Page) -> Locator:
    """The word that says whether the page is live."""
    return page.locator("#board-state")


def lane(page: Page, name: str) -> Locator:
    return page.locator(f'[data-rows="lanes"] tr[data-key="{name}"]')


def lane_cell(page: Page, name: str, label: str) -> Locator:
    return lane(page, name).locator(f'[data-label="{label}"]')


def hand_in(stack: Stack, message_type: str, number: int, **fields: object) -> None:
    payload = [{"messageType": message_type, "externalReference": str(n), **fields} for n in range(number)]
    body = {"batchReference": "seen", "errorPolicy": "proceedOnError", "payload": payload}
    answer = stack.call("POST", "/api/v1/requests", json=body)
    assert answer.status_code == 202, answer.text


def watched(page: Page) -> Page:
    """Mark the document, so that a reload would show."""
    page.evaluate("window.neverReloaded = true")
    return page


def check_never_reloaded(page: Page) -> None:
    assert page.evaluate("window.neverReloaded")


class TestWorkThatFlows:
    def test_is_seen_without_a_reload(self, visit: desk.Visit, stack: Stack) -> None:
        page = watched(visit("/admin/"))
        expect(state(page)).to_have_text("Live")

        hand_in(stack, "Vehicle", 30, sandbox={"delay": 0.2})

        expect(lane_cell(page, "Vehicle", "Done a minute")).to_have_text(re.compile(r"[1-9]"))
        expect(lane_cell(page, "Vehicle", "Failed")).to_have_text(re.compile(r"%"))
        expect(lane_cell(page, "Vehicle", "p95")).to_have_text(re.compile(r"\d m?s"))
        expect(page.locator("#board-done rect.is-complete").first).to_be_visible(timeout=25_000)
        check_never_reloaded(page)

    def test_tells_what_waits_and_what_runs(self, visit: desk.Visit, stack: Stack) -> None:
        page = visit("/admin/")
        hand_in(stack, "Customer", 40, sandbox={"delay": 6})

        expect(lane_cell(page, "Customer", "State")).to_have_text("working")
        expect(lane_cell(page, "Customer", "In processing")).to_have_text(re.compile(r"[1-9]"))
        expect(page.locator('[data-rows="workers"]')).to_contain_text("Customer")
        expect(page.locator('[data-total="processing"]')).to_have_text(re.compile(r"[1-9]"))

    def test_stands_still_for_the_eyes_while_it_is_held(self, visit: desk.Visit, stack: Stack) -> None:
        page = visit("/admin/")
        expect(state(page)).to_have_text("Live")
        page.get_by_role("button", name="Hold").click()
        expect(state(page)).to_have_text("Held")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))

        hand_in(stack, "Estimate", 1)
        page.wait_for_timeout(3000)  # longer than it takes to look again

        assert asked == []
        page.get_by_role("button", name="Hold").click()
        expect(lane_cell(page, "Estimate", "State")).to_be_visible()

    def test_tells_when_its_figures_can_not_be_had(self, visit: desk.Visit) -> None:
        page = visit("/admin/", quiet=False)
        expect(state(page)).to_have_text("Live")

        page.route("**/admin/dashboard/now", lambda route: route.abort())
        expect(state(page)).to_contain_text("can't be had")

        page.unroute("**/admin/dashboard/now")
        expect(state(page)).to_have_text("Live")

    def test_asks_to_log_in_again_when_the_session_is_over(self, visit: desk.Visit) -> None:
        page = visit("/admin/", quiet=False)
        expect(state(page)).to_have_text("Live")

        page.context.clear_cookies()

        expect(page.get_by_role("link", name="Log in again")).to_be_visible()


def test_a_lane_is_paused_and_resumed(visit: desk.Visit, stack: Stack) -> None:
    stack.carry_out("Opportunity")
    page = visit("/admin/", user="operator")

    page.get_by_role("link", name="Pause Opportunity").click()
    expect(page.get_by_text("Nothing more is claimed in it")).to_be_visible()
    desk.check_accessible(page)
    page.get_by_role("button", name="Pause the lane").click()

    expect(page.get_by_text("Lane Opportunity is paused.")).to_be_visible()
    expect(lane_cell(page, "Opportunity", "State")).to_have_text("paused")
    hand_in(stack, "Opportunity", 7)
    expect(lane_cell(page, "Opportunity", "Queued")).to_have_text(re.compile(r"^7\b"))

    page.get_by_role("link", name="Resume Opportunity").click()
    page.get_by_role("button", name="Resume the lane").click()

    expect(lane_cell(page, "Opportunity", "Queued")).to_have_text(re.compile(r"^0\b"))
    expect(lane_cell(page, "Opportunity", "State")).to_have_text("idle")


def test_a_question_may_be_answered_with_no(visit: desk.Visit, stack: Stack) -> None:
    stack.carry_out("Opportunity")
    page = visit("/admin/", user="operator")

    page.get_by_role("link", name="Pause Opportunity").click()
    page.get_by_role("link", name="Back", exact=True).click()

    expect(lane_cell(page, "Opportunity", "State")).to_have_text("idle")


def test_an_unknown_lane_is_told_clearly(visit: desk.Visit) -> None:
    page = visit("/admin/orchestrator/lane/Nothing/pause/", user="operator")

    expect(page.get_by_text("There is no lane 'Nothing'.")).to_be_visible()


def test_a_worker_is_drained_and_put_back_to_work(visit: desk.Visit) -> None:
    page = visit("/admin/", user="operator")
    worker = page.locator('[data-rows="workers"] tbody tr').first
    name = worker.get_by_role("rowheader").inner_text()

    page.get_by_role("link", name=f"Drain {name}").click()
    page.get_by_role("button", name="Drain the worker").click()
    expect(page.get_by_text(re.compile("Worker .* drains"))).to_be_visible()
    expect(row(page, name)).to_contain_text("drained")

    page.get_by_role("link", name=f"Undrain {name}").click()
    page.get_by_role("button", name="Put it back to work").click()
    expect(row(page, name)).not_to_contain_text("drain", ignore_case=False)


def test_a_viewer_is_offered_nothing_to_do(visit: desk.Visit, stack: Stack) -> None:
    stack.carry_out("Echo")
    page = visit("/admin/", user="viewer")

    expect(lane(page, "Echo")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("^(Pause|Drain) "))).to_have_count(0)


class TestEverybody:
    @pytest.mark.parametrize("color_scheme", ["light", "dark"])
    def test_can_read_it(self, visit: desk.Visit, stack: Stack, color_scheme: str) -> None:
        stack.carry_out("Echo")
        page = visit("/admin/", color_scheme=color_scheme)
        expect(lane(page, "Echo")).to_be_visible()
        expect(page.locator("#board-time svg")).to_be_visible()

        desk.check_accessible(page)
        dark = page.evaluate("getComputedStyle(document.querySelector('.board-panel')).backgroundColor")
        assert (dark != "rgb(255, 255, 255)") is (color_scheme == "dark")

    @pytest.mark.parametrize("color_scheme", ["light", "dark"])
    def test_can_read_it_on_a_phone(self, visit: desk.Visit, stack: Stack, color_scheme: str) -> None:
        stack.carry_out("Echo")
        page = visit("/admin/", viewport=desk.PHONE, color_scheme=color_scheme)
        expect(lane_cell(page, "Echo", "Queued")).to_be_visible()
        expect(page.locator("#board-time svg")).to_be_visible()

        desk.check_accessible(page)
        desk.check_no_sideways_scrolling(page)

    def test_can_use_it_with_the_keyboard_alone(self, visit: desk.Visit, stack: Stack) -> None:
        stack.carry_out("Echo")
        page = visit("/admin/", user="operator")
        expect(lane(page, "Echo")).to_be_visible()

        tab_to(page, page.get_by_role("button", name="Hold"))
        page.keyboard.press("Enter")
        expect(state(page)).to_have_text("Held")
        tab_to(page, page.get_by_role("radio", name="Last hour"))
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("heading", name="Done in each hour")).to_be_visible()
        tab_to(page, page.locator("#board-done .board-chart"))
        page.keyboard.press("ArrowLeft")
        expect(page.locator("#board-done output")).to_have_text(re.compile(r"^\d\d:\d\d: Complete [\d,]+, Failed \d+$"))
        tab_to(page, page.get_by_role("link", name="Pause Echo"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Pause the lane")).to_be_visible()

    def test_keeps_the_focus_when_figures_change(self, visit: desk.Visit, stack: Stack) -> None:
        stack.carry_out("Echo")
        page = visit("/admin/", user="operator")
        page.get_by_role("link", name="Pause Echo").focus()
        before = page.locator("#board-at").inner_text()

        expect(page.locator("#board-at")).not_to_have_text(before)

        expect(page.get_by_role("link", name="Pause Echo")).to_be_focused()

    def test_finds_every_point_in_a_table(self, visit: desk.Visit, stack: Stack) -> None:
        stack.carry_out("Echo")
        page = visit("/admin/")

        page.locator("#board-done").get_by_text("As a table").click()

        expect(page.locator("#board-done tbody tr")).to_have_count(60)
        page.get_by_role("radio", name="Last day").check()
        expect(page.locator("#board-done tbody tr")).to_have_count(24)


def test_the_history_is_of_one_lane_when_asked(visit: desk.Visit, stack: Stack) -> None:
    stack.carry_out("Echo")
    page = visit("/admin/")
    expect(lane(page, "Echo")).to_be_visible()

    page.get_by_label("Lane", exact=True).select_option("Echo")

    expect(page.get_by_role("group", name=re.compile("Done in each minute of lane Echo"))).to_be_visible()


def tab_to(page: Page, target: Locator) -> None:
    """Reach an element by the Tab key, as somebody without a pointer does."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"the Tab key never reaches {target}")
