"""How tests of the states window call it."""

import json
import uuid
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client as Browser

from orchestrator import accounts
from tests import factories
from tests.api.calls import basic

ALIAS = "/genesys/1/cs"


class Services:
    """A client of the states window."""

    def __init__(self, account: accounts.Account, *, address: str = "") -> None:
        self.account = account
        self.address = address
        self._headers = basic(account.client_id)

    def get(self, path: str, **parameters: str) -> Any:
        return Browser().get(self.address + path, parameters, headers=self._headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """Send a body as JSON, bytes as they are, None as no body at all."""
        return self._send("POST", path, body, headers)

    def put(self, path: str, body: Any) -> Any:
        return self._send("PUT", path, body, {})

    def delete(self, path: str) -> Any:
        return self._send("DELETE", path, None, {})

    def start(self, **body: Any) -> str:
        """Begin a service and return its path."""
        answer = self.post("/services/start", {"customer_id": "51X", "service_type": 100} | body)
        assert answer.status_code == 201, answer.content
        return f"/services/{answer.json()['service_id']}"

    def start_state(self, service: str, **body: Any) -> int:
        answer = self.post(f"{service}/states/start", {"state_type": 100} | body)
        assert answer.status_code == 201, answer.content
        return int(answer.json()["state_id"])

    def start_task(self, service: str, **body: Any) -> int:
        answer = self.post(f"{service}/tasks/start", {"task_type": 5} | body)
        assert answer.status_code == 201, answer.content
        return int(answer.json()["task_id"])

    def read(self, path: str, **parameters: str) -> Any:
        """Return what a GET answers, which must be 200."""
        answer = self.get(path, **parameters)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        content_type = "" if body is None else "application/json"
        sent = self._headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return Browser().generic(method, self.address + path, raw, content_type, headers=sent)


@pytest.fixture
def mine() -> Services:
    """A client that may do everything in this window."""
    return Services(factories.make_account())


def assert_refused(answer: HttpResponse, status: int, exception: str) -> str:
    """Hold an answer to the family's error body; return its message."""
    body = json.loads(answer.content)
    assert (answer.status_code, body["exception"]) == (status, f"{exception}Exception"), body
    assert set(body) == {"message", "exception"}
    assert answer["Content-Type"] == "application/json"
    assert body["message"]
    return str(body["message"])


def id_of(service: str) -> uuid.UUID:
    """The id at the end of a service's path."""
    return uuid.UUID(service.rpartition("/")[2])
