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
from benchmarks.stack import ROOT, Running, wait_until

_COMMAND_WITHIN = 300.0
_FINISHED_WITHIN = 600.0
_REQUESTS_AHEAD = 8
_COUNT_OPEN = "SELECT count(*) FROM orchestrator_request WHERE open > 0"  # by request_open


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
    deadline = time.monotonic() + _FINISHED_WITHIN
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
            assert time.monotonic() < deadline, f"not Complete within {_FINISHED_WITHIN:g} s: {found}"
            time.sleep(0.05)
        assert found["data"]["messageStatusSummary"]["complete"] == per_request, found
    return {"handed in": handed_in, "complete": time.monotonic() - began}


def flood(stack: Running, *, messages: int, per_request: int, **fields: Any) -> float:
    """Hand in so many messages, never more than a few requests ahead; return the seconds until all are final."""
    post = http_load.call("POST", "/api/v1/requests", headers=headers(), body=submission(per_request, **fields))
    left = iter(range(messages // per_request))

    async def keep_sending(ledger: psycopg.AsyncConnection) -> None:
        connection = await http_load.Connection.to(stack.url)
        for _ in left:
            while await _count_open(ledger) > _REQUESTS_AHEAD:  # noqa: ASYNC110 - it is elsewhere
                await asyncio.sleep(0.02)
            answer = await connection.send(post)
            assert answer.status == 202, answer
        connection.close()

    async def all_of_them() -> None:
        async with await psycopg.AsyncConnection.connect(stack.database_url, autocommit=True) as ledger:
            await asyncio.gather(keep_sending(ledger), keep_sending(ledger))

    began = time.monotonic()
    asyncio.run(all_of_them())
    wait_until_finished(stack)
    return time.monotonic() - began


async def _count_open(ledger: psycopg.AsyncConnection) -> int:
    row = await (await ledger.execute(_COUNT_OPEN)).fetchone()
    return int(row[0])


async def latency(connection: http_load.Connection, post: bytes, *, client: str = "demo") -> float:
    """Hand one message in, ask until it is Complete, and return the seconds from the one to the other."""
    began = time.monotonic()
    request_id = (await connection.send(post)).json()["data"]["id"]
    look = http_load.call("GET", f"/api/v3/global/call/{request_id}", headers=headers(client))
    while b'"OPEN"' in (answer := await connection.send(look)).body:  # noqa: ASYNC110 - it is elsewhere
        await asyncio.sleep(http_load.PAUSE)
    assert b'"SUCCESS"' in answer.body, answer
    return time.monotonic() - began


def latencies(stack: Running, *, times: int, message_type: str = "Echo", client: str = "demo") -> list[float]:
    """Return the seconds of so many single messages, one after the other; a first one is not counted."""

    async def measure() -> list[float]:
        connection = await http_load.Connection.to(stack.url)
        post = single(message_type=message_type, client=client)
        return [await latency(connection, post, client=client) for _ in range(times + 1)]

    return asyncio.run(measure())[1:]


def open_requests(stack: Running) -> int:
    """Count the requests that are not finished yet."""
    return int(ask(stack, _COUNT_OPEN))


def wait_until_finished(stack: Running) -> None:
    """Wait until no request is open."""
    wait_until(lambda: not open_requests(stack), what="the end of all requests", within=_FINISHED_WITHIN)


def ask(stack: Running, statement: str, values: Mapping[str, Any] | None = None) -> Any:
    """Run a statement on the ledger; return the first column of its first row, if it has any."""
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchone()[0] if cursor.description else None


def manage(stack: Running, *arguments: str) -> None:
    """Run a command of the stack's operator."""
    command = [sys.executable, "manage.py", *arguments]
    subprocess.run(command, cwd=ROOT, env=stack.environment, check=True, capture_output=True, timeout=_COMMAND_WITHIN)


def run_module(stack: Running, module: str, *arguments: str, given: Any = None) -> str:
    """Run a module within the stack's settings, with JSON as its input; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**stack.environment, "DJANGO_SETTINGS_MODULE": "config.settings"},
        input=json.dumps(given).encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=_COMMAND_WITHIN,
    )
    return done.stdout.decode()
