"""A service provider: places orders on accesses, and reads the feed of their ends."""

import itertools
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.acceptance.contract.api import Api
from tests.waiting import eventually

ROOT = "/api/2.3.1"
SERVICES = ("BB-100-10:BB", "BB-100-100:BB", "TV-1:TV")
SLOW: dict[str, Any] = {"sandbox": {"delay": 4}}  # stays RECEIVED for a while
_numbers = itertools.count(1)


def access_id() -> str:
    """An access that no other test uses."""
    return f"T{os.getpid()}N{next(_numbers)}{uuid.uuid4().hex[:6]}"


def activate(access: str, service: str = "BB-100-10", **fields: Any) -> dict[str, Any]:
    return {"accessId": access, "service": service, "operation": "ACTIVATE", "forcedTakeover": False, **fields}


def deactivate(access: str, service: str = "BB-100-10", **fields: Any) -> dict[str, Any]:
    return {"accessId": access, "service": service, "operation": "DEACTIVATE", **fields}


@dataclass(frozen=True)
class Provider:
    """One client's calls."""

    api: Api

    def order(self, body: Mapping[str, Any], **more: Any) -> httpx2.Response:
        return self.api.post(f"{ROOT}/orders/", body, **more)

    def placed(self, body: Mapping[str, Any]) -> str:
        """Place an order that must be accepted; returns its path."""
        answer = self.order(body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["path"])

    def seen(self, path: str) -> dict[str, Any]:
        answer = self.api.get(path)
        assert answer.status_code == 200, answer.text
        assert list(answer.json()) == ["path", "accessId", "service", "operation", "state", "message"]
        return dict(answer.json())

    def ended(self, path: str, *, within: float = 20) -> dict[str, Any]:
        """Wait for the order's final state."""

        def over() -> dict[str, Any] | None:
            order = self.seen(path)
            return order if order["state"] != "RECEIVED" else None

        return eventually(over, within=within, what=f"the end of {path}") or {}

    def done(self, body: Mapping[str, Any], state: str = "DONE_SUCCESS") -> dict[str, Any]:
        """Place an order and wait for this end of it."""
        order = self.ended(self.placed(body))
        assert order["state"] == state, order
        return order

    def feed(self, since: str | None = None) -> list[dict[str, Any]]:
        answer = self.api.get(f"{ROOT}/orderevents/", params={"since": since} if since is not None else None)
        assert answer.status_code == 200, answer.text
        return list(answer.json())

    def active(self, access: str) -> set[str]:
        """The services that are active on this access."""
        answer = self.api.get(f"{ROOT}/accesses/")
        assert answer.status_code == 200, answer.text
        (found,) = (item for item in answer.json() if item["accessId"] == access)
        return {service["service"] for service in found["services"] if service["active"]}


def assert_cause(answer: httpx2.Response, status: int, text: str | None = None) -> str:
    """It is the family's error body, to the letter; returns its text."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    assert list(answer.json()) == ["cause"]
    cause = answer.json()["cause"]
    assert isinstance(cause, str)
    assert cause
    assert cause == (text or cause)
    return cause
