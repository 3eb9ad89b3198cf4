"""More than can be taken at once: the rest is told to come again, what was taken is whole, memory is bounded."""

import threading
from pathlib import Path

import httpx2
import orjson
import pytest

from config.embedded import processes
from orchestrator.models import Message, Request
from tests import factories
from tests.acceptance import web

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

MIB = 1024 * 1024
CONNECTIONS, MESSAGES = 20, 10_000
THREADS, QUEUE = 2, 6


def test_ten_thousand_messages_from_each_of_twenty_connections_at_once(tmp_path: Path) -> None:
    account = factories.make_account()
    port = processes.free_port()
    items = [{"messageType": "Echo", "externalReference": str(n), "n": n, "text": "x" * 40} for n in range(MESSAGES)]
    body = orjson.dumps({"batchReference": "large", "payload": items})
    answers: list[httpx2.Response] = []
    health: list[int] = []

    def send() -> None:
        auth, headers = (account.client_id, factories.SECRET), {"Content-Type": "application/json"}
        url = f"http://127.0.0.1:{port}/api/v1/requests"
        answers.append(httpx2.post(url, content=body, auth=auth, headers=headers, timeout=300))

    server = web.start(
        tmp_path,
        port,
        WAYBILL_WEB_THREADS=str(THREADS),
        WAYBILL_WEB_QUEUE=str(QUEUE),
        WAYBILL_ANSWER_SECONDS="300",
    )
    try:
        before = most = web.memory(server)
        senders = [threading.Thread(target=send) for _ in range(CONNECTIONS)]
        for sender in senders:
            sender.start()
        while any(sender.is_alive() for sender in senders):
            most = max(most, web.memory(server))
            health.append(httpx2.get(f"http://127.0.0.1:{port}/livez", timeout=60).status_code)
        alive = server.alive
    finally:
        server.stop(within=30)

    accepted = [answer for answer in answers if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert alive
    assert set(health) == {200}
    assert len(accepted) + len(refused) == CONNECTIONS
    assert len(accepted) >= THREADS
    assert len(refused) >= 1
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert Request.objects.count() == len(accepted)
    assert Message.objects.count() == MESSAGES * len(accepted)
    # What is worked on at once is bounded by the threads, not by the connections: each needs some 50 MiB at most.
    assert most - before < 400 * MIB
