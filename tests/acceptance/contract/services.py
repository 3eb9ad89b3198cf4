"""Calls of the service states window, as a client of the original would make them."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import httpx2

from tests.acceptance.contract.api import Api, fresh

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NAMES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    413: "TooLarge",
    415: "UnsupportedMediaType",
    422: "Unprocessable",
    429: "TooManyRequests",
    500: "Internal",
    503: "Unavailable",
}


class Services:
    """One client's calls under one of the two roots."""

    def __init__(self, api: Api, root: str = "") -> None:
        self.api, self.root = api, root

    def get(self, path: str, **parameters: Any) -> httpx2.Response:
        return self.api.get(f"{self.root}{path}", params=parameters or None)

    def post(self, path: str, body: Any = None, **more: Any) -> httpx2.Response:
        return self.api.post(f"{self.root}{path}", body, **more)

    def put(self, path: str, value: Any) -> httpx2.Response:
        return self.api.raw(f"{self.root}{path}", json.dumps(value), method="PUT")

    def delete(self, path: str) -> httpx2.Response:
        return self.api.http.delete(f"{self.root}{path}", auth=self.api.basic)

    def seen(self, path: str, **parameters: Any) -> Any:
        """What GET answers; it must be 200."""
        answer = self.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def made(self, path: str, key: str, body: Any) -> Any:
        """Begin something; it must be 201 with exactly this key."""
        answer = self.post(path, body)
        assert answer.status_code == 201, answer.text
        assert list(answer.json()) == [key]
        return answer.json()[key]

    def start(self, **fields: Any) -> str:
        """Begin a service; of a fresh customer unless told otherwise."""
        who = {} if {"customer_id", "contact_key"} & set(fields) else {"customer_id": fresh("customer")}
        return str(self.made("/services/start", "service_id", {"service_type": 100, **who, **fields}))

    def state(self, service: str, state_type: Any = 100, **fields: Any) -> Any:
        """Begin a state of it."""
        return self.made(f"/services/{service}/states/start", "state_id", {"state_type": state_type, **fields})

    def task(self, service: str, task_type: Any = 5, **fields: Any) -> Any:
        """Begin a task of it."""
        return self.made(f"/services/{service}/tasks/start", "task_id", {"task_type": task_type, **fields})

    def did(self, path: str, body: Any = None) -> None:
        """End something; it must be 204 without a body."""
        answer = self.post(path, body)
        assert (answer.status_code, answer.content) == (204, b""), answer.text


def assert_fault(answer: httpx2.Response, status: int) -> None:
    """It is the family's error body, to the letter."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    assert list(answer.json()) == ["message", "exception"]
    assert answer.json()["message"]
    assert answer.json()["exception"] == f"{NAMES[status]}Exception"


def moment(text: str) -> datetime:
    """A timestamp of the window, which must be in its one form."""
    assert TIMESTAMP.fullmatch(text), text
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
