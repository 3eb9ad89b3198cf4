"""A client of Waybill, as a stranger would write it from the documents."""

import itertools
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.waiting import eventually

FINAL = {"Complete", "Failed", "Invalid", "Cancelled"}
WAITS = {"script": [{"status": 503, "headers": {"Retry-After": "60"}}]}  # own fields: stays Queued for its retry
_numbers = itertools.count(1)


def fresh(word: str = "ref") -> str:
    """A reference that no other test uses."""
    return f"{word}-{os.getpid()}-{next(_numbers)}-{uuid.uuid4().hex[:8]}"


def message(message_type: str = "Echo", reference: str | None = None, **own: Any) -> dict[str, Any]:
    """One message of a request's payload."""
    return {"messageType": message_type, "externalReference": reference or fresh(), **own}


def request(*messages: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """The body of a request; one Echo unless told otherwise."""
    return {"batchReference": fresh("batch"), "payload": list(messages) or [message()], **fields}


@dataclass(frozen=True)
class Api:
    """One client's calls."""

    http: httpx2.Client
    client_id: str
    secret: str

    @property
    def basic(self) -> httpx2.BasicAuth:
        return httpx2.BasicAuth(self.client_id, self.secret)

    def get(self, path: str, **more: Any) -> httpx2.Response:
        return self.http.get(path, auth=self.basic, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> httpx2.Response:
        return self.http.post(path, json=body, auth=self.basic, **more)

    def raw(self, path: str, content: Any, *, kind: str = "application/json", method: str = "POST") -> httpx2.Response:
        """Send bytes as they are."""
        headers = {"Content-Type": kind}
        return self.http.request(method, path, content=content, headers=headers, auth=self.basic)

    def submit(self, *messages: Mapping[str, Any], **fields: Any) -> str:
        """Hand in a request that must be accepted; returns its id."""
        answer = self.post("/api/v1/requests", request(*messages, **fields))
        assert answer.status_code == 202, answer.text
        return str(answer.json()["data"]["id"])

    def seen(self, request_id: str) -> dict[str, Any]:
        """The request as GET shows it."""
        answer = self.get(f"/api/v1/requests/{request_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])

    def finished(self, request_id: str, *, within: float = 20) -> dict[str, Any]:
        """Wait until every message of the request is final."""

        def whole() -> dict[str, Any] | None:
            data = self.seen(request_id)
            return data if all(item["messageStatus"] in FINAL for item in data["payload"]) else None

        return eventually(whole, within=within, what=f"the end of {request_id}") or {}

    def done(self, *messages: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
        """Hand in a request and wait for its end."""
        return self.finished(self.submit(*messages, **fields))

    def cancelled(self, request_id: str) -> dict[str, Any]:
        """Cancel a request and wait until it is over (a call under way finishes first)."""
        answer = self.post(f"/api/v1/requests/{request_id}/cancel")
        assert answer.status_code == 200, answer.text
        return self.finished(request_id)

    def search(self, *criteria: tuple[str, Any], **fields: Any) -> list[dict[str, Any]]:
        """The requests that a tracking search finds."""
        answer = self.post(
            "/api/v1/tracking", {"search": [{"by": by, "value": value} for by, value in criteria], **fields}
        )
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"]["requests"])

    def statuses(self, request_id: str) -> list[str]:
        """The words of request status v3, in message order."""
        answer = self.get(f"/api/v3/global/call/{request_id}", params={"size": 1000})
        assert answer.status_code == 200, answer.text
        return [item["status"] for item in answer.json()["content"]]


def ids(requests: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ids of what a search found, in its order."""
    return [item["id"] for item in requests]


def assert_refused(answer: httpx2.Response, status: int) -> list[dict[str, Any]]:
    """It is the Gateway family's error body, to the letter; returns its errors."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    body = answer.json()
    assert list(body) == ["data", "errors", "success"]
    assert body["data"] is None
    assert body["success"] is False
    assert body["errors"], "an error body without errors"
    for error in body["errors"]:
        assert isinstance(error["errorMessage"], str)
        assert error["errorMessage"]
        assert set(error) <= {"errorMessage", "field", "index"}
    return list(body["errors"])


def assert_nak(answer: httpx2.Response, status: int, code: str, text: str | None = None) -> None:
    """It is the status family's NAK, to the letter."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    body = answer.json()
    assert list(body) == ["errorCode", "errorMessage", "content", "pageable"]
    assert body["errorCode"] == code
    assert body["errorMessage"] == text if text else body["errorMessage"]
    assert body["content"] == ""
    assert body["pageable"] is None
