"""Requests as an operator uses them: found in seconds, followed without a reload, put right without SQL."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.acceptance.stacks import Stack
from tests.browser import desk

pytestmark = desk.NEEDS_CHROMIUM

LIST = "/admin/orchestrator/request/"


def hand_in(stack: Stack, *messages: dict[str, Any], message_type: str = "Vehicle", batch: str = "trucks") -> str:
    """Hand in a request with these fields a message; return its id."""
    payload = [
        {"messageType": message_type, "externalReference": f"{batch}-{number}", **fields}
        for number, fields in enumerate(messages)
    ]
    body = {"batchReference": batch, "errorPolicy": "proceedOnError", "payload": payload}
    answer = stack.call("POST", "/api/v1/requests", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["data"]["id"])


def page_of(request_id: str) -> str:
    return f"{LIST}{request_id}/change/"


def count(page: Page, name: str) -> Any:
    return page.locator(f'[data-count="{name}"]')


def failing(text: str = "no such vehicle") -> dict[str, Any]:
    return {"sandbox": {"status": 422, "detail": text}}


def test_is_found_by_its_batch_reference_and_opened(visit: desk.Visit, stack: Stack) -> None:
    request_id = hand_in(stack, {}, {}, batch="spring-fleet")
    page = visit(LIST)

    page.get_by_label("Find").fill("spring-fleet")
    page.get_by_role("button", name="Search").click()

    expect(page.get_by_role("rowheader")).to_have_count(1)
    desk.check_accessible(page)
    desk.shoot(page, "requests")
    page.get_by_role("link", name=request_id).click()
    expect(page.get_by_role("heading", name="Progress")).to_be_visible()


def test_shows_its_progress_without_a_reload(visit: desk.Visit, stack: Stack) -> None:
    slow = [{"sandbox": {"delay": 0.4 + number * 0.15}} for number in range(40)]
    request_id = hand_in(stack, *slow, *[failing() for _ in range(3)], batch="summer-fleet")
    page = visit(page_of(request_id))
    page.evaluate("window.neverReloaded = true")

    expect(count(page, "complete")).to_have_text(re.compile(r"[1-9]"))
    expect(count(page, "failed")).to_have_text("3")
    assert page.evaluate("document.querySelector('[data-part=complete]').getBoundingClientRect().width") > 0
    desk.shoot(page, "request")
    expect(page.locator("#progress-said")).to_have_text("Finished", timeout=60_000)

    expect(count(page, "complete")).to_have_text("40")
    expect(page.locator("#timeline")).to_contain_text("finished")
    expect(page.locator("#messages")).to_contain_text("no such vehicle")
    assert page.evaluate("window.neverReloaded")
    desk.check_accessible(page)


def test_is_readable_in_the_dark_and_on_a_phone(visit: desk.Visit, stack: Stack) -> None:
    request_id = hand_in(stack, {}, failing(), batch="autumn-fleet")

    for path in (page_of(request_id), LIST):
        page = visit(path, viewport=desk.PHONE, color_scheme="dark")
        expect(page.get_by_role("main").or_(page.locator("#content")).first).to_be_visible()
        desk.check_no_sideways_scrolling(page)
        desk.check_accessible(page)


def test_has_its_failures_replayed_after_a_question(visit: desk.Visit, stack: Stack) -> None:
    request_id = hand_in(stack, {}, failing(), batch="winter-fleet")
    page = visit(page_of(request_id), user="operator")
    expect(page.locator("#progress-said")).to_have_text("Finished")

    page.get_by_role("link", name="Replay what failed…").click()
    expect(page.get_by_text("what failed (1 message)")).to_be_visible()
    desk.check_accessible(page)
    desk.shoot(page, "replay")
    page.get_by_role("button", name="Replay", exact=True).click()

    expect(page.get_by_text("Replayed: 1 message by")).to_be_visible()
    page.get_by_role("link", name=request_id).click()
    expect(page.get_by_text("Replayed by")).to_be_visible()
    page.get_by_role("link", name="Replay what failed…").click()
    expect(page.get_by_text("Replayed already by")).to_be_visible()


def test_is_cancelled_after_a_question(visit: desk.Visit, stack: Stack) -> None:
    """Its lane is paused, so that nothing of it begins however slow the machine is."""
    visit("/admin/orchestrator/lane/Opportunity/pause/").get_by_role("button", name="Pause the lane").click()
    request_id = hand_in(stack, {}, {}, message_type="Opportunity", batch="chances")
    page = visit(page_of(request_id), user="operator")

    page.get_by_role("link", name="Cancel…").click()
    expect(page.get_by_text("What waits is cancelled (2 messages)")).to_be_visible()
    page.get_by_role("button", name="Cancel the request").click()

    expect(page.get_by_text("what has not begun will not begin")).to_be_visible()
    expect(count(page, "cancelled")).to_have_text("2")
    visit("/admin/orchestrator/lane/Opportunity/resume/").get_by_role("button", name="Resume the lane").click()


def test_a_viewer_is_offered_nothing_to_change(visit: desk.Visit, stack: Stack) -> None:
    request_id = hand_in(stack, failing(), batch="looked-at")
    page = visit(page_of(request_id), user="viewer")

    expect(page.locator("#progress-said")).to_have_text("Finished")
    expect(page.get_by_role("link", name="Replay what failed…")).to_have_count(0)
    expect(page.get_by_role("link", name="Cancel…")).to_have_count(0)


def test_a_message_shows_its_payload_and_why_it_failed(visit: desk.Visit, stack: Stack) -> None:
    request_id = hand_in(stack, failing("the wheel is <b>gone</b>"), {}, batch="wheels")
    page = visit(page_of(request_id))
    expect(page.locator("#progress-said")).to_have_text("Finished")

    page.locator("#messages").get_by_role("link").first.click()

    expect(page.get_by_text("the wheel is <b>gone</b>").first).to_be_visible()
    expect(page.get_by_role("heading", name="Payload")).to_be_visible()
    desk.check_accessible(page)


def test_a_client_is_made_and_its_secret_shown_once(visit: desk.Visit, stack: Stack) -> None:
    page = visit("/admin/orchestrator/client/add/")
    page.locator("[name=client_id]").fill("by-hand")
    page.locator("[name=name]").fill("Made by hand")
    desk.check_accessible(page)

    page.get_by_role("button", name="Save", exact=True).click()

    told = page.get_by_text("Secret of by-hand:")
    expect(told).to_be_visible()
    desk.shoot(page, "client-secret")
    secret = re.search(r"Secret of by-hand: (\S+)", told.first.inner_text())
    assert secret
    assert stack.call("GET", "/api/2.3.1/accesses/", auth=("by-hand", secret[1])).status_code == 200
    page.reload()
    expect(told).to_have_count(0)


def test_a_back_end_is_called_for_a_test(visit: desk.Visit, stack: Stack) -> None:
    page = visit("/admin/orchestrator/backend/Vehicle/change/")

    expect(page.get_by_role("heading", name="Recent failures")).to_be_visible()
    page.get_by_role("link", name="Test call…").click()
    page.get_by_role("button", name="Call it now").click()

    expect(page.get_by_text("200")).to_be_visible()
    desk.check_accessible(page)
    desk.shoot(page, "test-call")


def test_the_audit_log_tells_who_did_what(visit: desk.Visit) -> None:
    page = visit("/admin/orchestrator/auditentry/")

    expect(page.get_by_text("log in").first).to_be_visible()
    desk.check_accessible(page)
    desk.shoot(page, "audit-log")
