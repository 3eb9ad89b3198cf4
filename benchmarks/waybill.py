"""A client of Waybill: hand in over HTTP, wait until all is final."""

import base64
import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.stack import Running

_CREDENTIALS = "Basic " + base64.b64encode(b"demo:demo-secret").decode()


def call(stack: Running, method: str, path: str, body: Any = None) -> Any:
    """Make one call as the demo client, and return the answer's JSON."""
    request = urllib.request.Request(
        stack.url + path,
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": _CREDENTIALS, "Content-Type": "application/json", "Prefer": "return=minimal"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def submission(messages: int, *, message_type: str = "Echo") -> dict[str, Any]:
    """A request of so many messages of one type."""
    return {
        "batchReference": "bench",
        "errorPolicy": "proceedOnError",
        "payload": [
            {"messageType": message_type, "externalReference": f"ref-{n}", "n": n, "text": "some fields of its own"}
            for n in range(messages)
        ],
    }


def carry_through(stack: Running, *, messages: int, per_request: int) -> dict[str, float]:
    """Hand in `messages` as requests of `per_request`; return the seconds of handing in and until all are Complete."""
    body = submission(per_request)
    began = time.monotonic()
    with ThreadPoolExecutor(2) as clients:
        answers = list(
            clients.map(lambda _: call(stack, "POST", "/api/v1/requests", body), range(messages // per_request))
        )
    handed_in = time.monotonic() - began
    for answer in answers:
        while (found := call(stack, "GET", f"/api/v1/requests/{answer['data']['id']}"))["data"][
            "requestStatus"
        ] != "Complete":
            time.sleep(0.05)
        assert found["data"]["messageStatusSummary"]["complete"] == per_request, found
    return {"handed in": handed_in, "complete": time.monotonic() - began}
