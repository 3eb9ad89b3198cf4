"""Every page works under its content security policy: a violation is an error in the console, and fails its test."""

from typing import Any

from playwright.sync_api import Browser, expect

from tests.acceptance.stacks import Stack
from tests.browser import desk

pytestmark = desk.NEEDS_CHROMIUM

PAGES = (
    "/admin/",
    "/admin/orchestrator/client/",
    "/admin/orchestrator/client/add/",
    "/admin/orchestrator/backend/add/",
    "/admin/orchestrator/request/",
    "/admin/orchestrator/message/",
    "/admin/orchestrator/lane/",
    "/admin/orchestrator/worker/",
    "/admin/orchestrator/auditentry/",
    "/admin/orders/order/",
    "/admin/auth/user/add/",
    "/admin/password_change/",
)


def test_the_desk_works(visit: desk.Visit) -> None:
    page = visit(PAGES[0])
    for path in PAGES:
        answer = page.goto(path, wait_until="load")
        assert answer is not None
        assert answer.ok, path
        assert "content-security-policy" in answer.headers


def test_swagger_ui_works(visit: desk.Visit) -> None:
    page = visit("/api/docs")

    expect(page.get_by_text("Look at a request").first).to_be_visible(timeout=60_000)


def test_redoc_works_and_tells_nobody_who_reads_it(browser: Browser, stack: Stack) -> None:
    """Its bundle asks a server of its makers for their badge: that alone is refused, and nothing is missed."""
    page = browser.new_page(base_url=f"http://127.0.0.1:{stack.port}")
    broken: list[str] = []
    page.on("console", lambda message: broken.append(message.text) if message.type == "error" else None)
    page.goto("/api/redoc")

    expect(page.get_by_role("heading", name="Look at a request").first).to_be_visible(timeout=60_000)

    assert all("cdn.redoc.ly" in text and "img-src" in text for text in broken), broken
    page.close()


def test_what_was_written_into_a_page_does_not_run(browser: Browser, stack: Stack) -> None:
    """As if somebody had found a way to have markup shown as it is."""
    page = browser.new_page(base_url=f"http://127.0.0.1:{stack.port}")
    page.goto("/admin/login/")
    broken: list[Any] = []
    page.on("console", lambda message: broken.append(message.text))

    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.wasRun = true";
            document.body.append(script);
            const image = document.createElement("img");
            image.src = "https://elsewhere.example/?told";
            document.body.append(image);
        }"""
    )

    page.wait_for_timeout(500)
    assert page.evaluate("window.wasRun") is None
    assert len(broken) == 2
    assert all("Content Security Policy" in text for text in broken)
    page.close()
