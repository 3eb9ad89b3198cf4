"""Fair turns, priority, slow callers and races: what one client does never harms another's work."""

import base64
import contextlib
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.acceptance.contract.api import Api, message, request
from tests.acceptance.contract.stack import Stack


@pytest.fixture
def backlog(demo: Api) -> Iterator[str]:
    """A request that keeps both workers busy for seconds: 3,000 slow calls, 200 of them at once."""
    request_id = demo.submit(*[message("Estimate", sandbox={"delay": 0.5}) for _ in range(3000)])
    yield request_id
    demo.cancelled(request_id)


def open_messages(api: Api, request_id: str) -> int:
    answer = api.get(f"/api/v1/requests/{request_id}", headers={"Prefer": "return=minimal"})
    summary = answer.json()["data"]["messageStatusSummary"]
    return int(summary["queued"] + summary["processing"])


def test_a_backlog_delays_another_clients_single_message_little(demo: Api, other: Api, backlog: str) -> None:
    started = time.monotonic()

    other.done(message("Estimate"))

    assert time.monotonic() - started < 4
    assert open_messages(demo, backlog) > 1000


def test_a_higher_priority_goes_before_ones_own_backlog(demo: Api, backlog: str) -> None:
    demo.done(message("Estimate"), priority=9)

    assert open_messages(demo, backlog) > 1000


def test_one_lanes_backlog_does_not_delay_another_lane(demo: Api, backlog: str) -> None:
    demo.done(message("Echo"))

    assert open_messages(demo, backlog) > 1000


def head_of_upload(api: Api, length: int) -> bytes:
    credentials = base64.b64encode(f"{api.client_id}:{api.secret}".encode()).decode()
    lines = [
        "POST /api/v1/requests HTTP/1.1",
        "Host: waybill",
        f"Authorization: Basic {credentials}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_slow_uploads_hold_nobody_up(demo: Api, stack: Stack) -> None:
    body = b'{"batchReference": "slow", "payload": [{"messageType": "Echo", "externalReference": "slow"}]}'
    with contextlib.ExitStack() as sockets:
        slow = [sockets.enter_context(socket.create_connection(("127.0.0.1", stack.port), 10)) for _ in range(100)]
        for connection in slow:
            connection.sendall(head_of_upload(demo, len(body)) + body[:20])

        started = time.monotonic()
        assert demo.post("/api/v1/requests", request()).status_code == 202
        assert time.monotonic() - started < 3

        for connection in slow[50:]:
            connection.sendall(body[20:])
        assert [connection.recv(20).split()[1] for connection in slow[50:]] == [b"202"] * 50


FIELDS: list[dict[str, Any]] = [{}, {"status": 400}, {"status": 503, "times": 1}, {"delay": 0.1}]


def test_counters_add_up_whatever_races(demo: Api) -> None:
    chance = random.Random(7)
    plans = [
        (
            [message(chance.choice(["Echo", "Vehicle"]), sandbox=chance.choice(FIELDS)) for _ in range(20)],
            chance.choice(["haltOnError", "proceedOnError"]),
            chance.choice([None, 0.0, 0.05, 0.2]),
        )
        for _ in range(40)
    ]

    def run(plan: tuple[list[dict[str, Any]], str, float | None]) -> dict[str, Any]:
        items, policy, cancel_after = plan
        request_id = demo.submit(*items, errorPolicy=policy)
        if cancel_after is not None:
            time.sleep(cancel_after)
            assert demo.post(f"/api/v1/requests/{request_id}/cancel").status_code in {200, 409}
        return demo.finished(request_id, within=30)

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(run, plans))

    for end in ends:
        summary = end["messageStatusSummary"]
        counted = Counter(item["messageStatus"].lower() for item in end["payload"])
        assert {word: counted[word] for word in summary if word != "total"} | {"total": 20} == summary
        assert end["requestStatus"] in {"Complete", "Cancelled"}
