"""A client of Waybill: hand in over HTTP, wait until all is final."""

import asyncio
import base64
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from benchmarks import http_load
from benchmarks.stack import ROOT, Running


def headers(client: str = "demo") -> dict[str, str]:
    """The headers of a client's calls; its secret is its name with `-secret`."""
    credentials = base64.b64encode(f"{client}:{client}-secret".encode()).decode()
    return {"Authorization": f"Basic {credentials}", "Content-Type": "application/json", "Prefer": "return=minimal"}


def call(stack: Running, method: str, path: str, body: Any = None) -> Any:
    """Make one call as the demo client, and return the answer's JSON."""
    request = urllib.request.Request(
        stack.url + path,
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers=headers(),
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def submission(messages: int, *, message_type: str = "Echo", **fields: Any) -> dict[str, Any]:
    """A request of so many messages of one type."""
    fields = fields or {"text": "some fields of its own"}
    return {
        "batchReference": "bench",
        "errorPolicy": "proceedOnError",
        "payload": [
            {"messageType": message_type, "externalReference": f"ref-{n}", "n": n, **fields} for n in range(messages)
        ],
    }


def single(*, message_type: str = "Echo", client: str = "demo") -> bytes:
    """The call that hands in one message."""
    body = submission(1, message_type=message_type)
    return http_load.call("POST", "/api/v1/requests", headers=headers(client), body=body)


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


async def latency(connection: http_load.Connection, post: bytes, *, client: str = "demo") -> float:
    """Hand one message in, ask until it is Complete, and return the seconds from the one to the other."""
    began = time.monotonic()
    request_id = (await connection.send(post)).json()["data"]["id"]
    look = http_load.call("GET", f"/api/v3/global/call/{request_id}", headers=headers(client))
    while b'"OPEN"' in (answer := await connection.send(look)).body:  # noqa: ASYNC110 - it is elsewhere
        await asyncio.sleep(http_load.PAUSE)
    assert b'"SUCCESS"' in answer.body, answer
    return time.monotonic() - began


def open_requests(stack: Running) -> int:
    """Count the requests that are not finished yet."""
    return int(ask(stack, "SELECT count(*) FROM orchestrator_request WHERE open > 0"))


def wait_until_finished(stack: Running) -> None:
    """Wait until no request is open."""
    while open_requests(stack):
        time.sleep(0.02)


def ask(stack: Running, statement: str, values: Mapping[str, Any] | None = None) -> Any:
    """Run a statement on the ledger; return the first column of its first row, if it has any."""
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchone()[0] if cursor.description else None


def manage(stack: Running, *arguments: str) -> None:
    """Run a command of the stack's operator."""
    command = [sys.executable, "manage.py", *arguments]
    subprocess.run(command, cwd=ROOT, env=stack.environment, check=True, capture_output=True)
