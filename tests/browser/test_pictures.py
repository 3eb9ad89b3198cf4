"""The pictures of the dashboard in the documentation, taken under load; only when asked for.

    WAYBILL_SCREENSHOTS=1 WAYBILL_SCREENSHOTS_MINUTES=40 pytest tests/browser/test_pictures.py --timeout 3600

The load goes on for so many minutes before they are taken: all that the charts show was really done.
"""

import math
import os
import random
import time

import pytest
from playwright.sync_api import expect

from tests.acceptance.stacks import Stack
from tests.browser import desk

pytestmark = [
    *desk.NEEDS_CHROMIUM,
    pytest.mark.skipif(desk.SCREENSHOTS not in os.environ, reason=f"pictures are taken with {desk.SCREENSHOTS}=1"),
]

MINUTES = float(os.environ.get("WAYBILL_SCREENSHOTS_MINUTES", "2"))
TYPES = {"Vehicle": 5, "Customer": 3, "deskpro-feedback": 2, "Estimate": 2, "Opportunity": 1, "Echo": 2}


def test_the_dashboard_under_load(visit: desk.Visit, stack: Stack) -> None:
    chance = random.Random(4)
    began = time.monotonic()
    while (since := time.monotonic() - began) < MINUTES * 60:
        wave = 14 + 10 * math.sin(since / 300)
        hand_in(stack, chance, int(wave + 8 * chance.random()) + (1500 if chance.random() < 0.01 else 0))
        time.sleep(2)  # the pace of the load, not a wait

    for name, options in {
        "dashboard": {},
        "dashboard-dark": {"color_scheme": "dark"},
        "dashboard-phone": {"viewport": desk.PHONE},
    }.items():
        hand_in(stack, chance, 3000)
        page = visit("/admin/", **options)
        expect(page.locator("#board-time path.is-p95")).to_be_attached()
        expect(page.locator('[data-rows="lanes"] [data-state="working"]').first).to_be_visible()
        desk.shoot(page, name, full_page="viewport" not in options)


def hand_in(stack: Stack, chance: random.Random, number: int) -> None:
    """A request of many types, of which some are rejected and some fail once."""
    types = chance.choices(list(TYPES), weights=list(TYPES.values()), k=number)
    payload = [
        {"messageType": one, "externalReference": str(n), "sandbox": wish(chance, one)} for n, one in enumerate(types)
    ]
    body = {"batchReference": "a night's work", "errorPolicy": "proceedOnError", "payload": payload}
    assert stack.call("POST", "/api/v1/requests", json=body).status_code == 202


def wish(chance: random.Random, message_type: str) -> dict[str, object]:
    """What the sandbox back end is asked to do."""
    delay = chance.uniform(0.8, 2.5) if message_type == "Estimate" else chance.lognormvariate(-2.2, 0.7)
    trouble = chance.random()
    if trouble < 0.03:
        return {"delay": delay, "status": 422, "detail": "No such thing."}
    return {"delay": delay, "status": 503, "times": 1} if trouble < 0.06 else {"delay": delay}
