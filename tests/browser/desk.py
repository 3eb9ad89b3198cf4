"""The desk as its people see it: a running stack, its users, and a real browser.

How to write a browser test: take the fixture `visit` (and `stack`, to hand in work), open pages as somebody, look.

    pytestmark = desk.NEEDS_CHROMIUM

    def test_a_request_is_found(visit: desk.Visit, stack: Stack) -> None:
        page = visit("/admin/orchestrator/request/")                   # as the administrator
        page = visit("/admin/", user="viewer", viewport=desk.PHONE)    # as somebody else, on a phone
        page = visit("/admin/", color_scheme="dark")
        expect(page.get_by_role("heading", name="Requests")).to_be_visible()
        desk.check_accessible(page)
        desk.shoot(page, "a-request")      # kept as docs/images/a-request.png when WAYBILL_SCREENSHOTS=1

Playwright's `expect` waits by itself (30 s here). A page that logs an error to the browser's console, or breaks the
content security policy, fails its test, unless it was visited with `quiet=False`.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize

from tests.acceptance import stacks
from tests.acceptance.stacks import Stack

CHROMIUM = "/usr/bin/chromium"
NEEDS_CHROMIUM = [pytest.mark.timeout(300), pytest.mark.debian("chromium", "chromium")]
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
USERS = ("administrator", "operator", "viewer")
PASSWORD = "open-the-desk-please"
IMAGES = stacks.ROOT / "docs" / "images"
SCREENSHOTS = "WAYBILL_SCREENSHOTS"

Visit = Callable[..., Page]
"""`visit(path, *, user="administrator", quiet=True, **options of playwright's new_context)`: a page in a new window."""

_MAKE_USERS = f"""
from django.contrib.auth.models import Group, User
for name in {USERS!r}:
    user = User.objects.create_user(name, password={PASSWORD!r}, is_staff=True)
    user.groups.add(Group.objects.get(name=name))
"""


def make_users(home: Path) -> None:
    """Make one user of each role; each is named after it."""
    stacks.manage(home, "shell", "-v0", "-c", _MAKE_USERS)


def check_accessible(page: Page) -> None:
    """Assert that axe finds nothing serious or critical on the page as it is now."""
    page.wait_for_function("!document.getAnimations().some(one => one.playState === 'running')")  # colours that change
    found = Axe().run(page).response["violations"]
    grave = [one for one in found if one["impact"] in {"serious", "critical"}]
    told = [f"{one['id']}: {one['help']}\n" + "\n".join(_tell(node) for node in one["nodes"][:5]) for one in grave]
    assert not grave, "\n".join(told)


def _tell(node: dict[str, Any]) -> str:
    data = [check.get("data") for check in node["any"]]
    return f"  {node['html'][:200]}\n    {json.dumps(data)[:300]}"


def check_no_sideways_scrolling(page: Page) -> None:
    """Assert that the page fits its window."""
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0, f"{wider} px wider than the window"


def shoot(page: Page, name: str, **options: Any) -> None:
    """Keep a picture of the page for the documentation, when asked to by the environment."""
    if os.environ.get(SCREENSHOTS):
        IMAGES.mkdir(exist_ok=True)
        page.screenshot(path=IMAGES / f"{name}.png", animations="disabled", caret="hide", **options)


def manage(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the stack, whatever comes of it."""
    return subprocess.run(
        [stacks.ROOT / ".venv" / "bin" / "python", "manage.py", *arguments],
        cwd=stacks.ROOT,
        env=stacks.bare_environment(stack.home),
        capture_output=True,
        text=True,
        check=False,
    )
