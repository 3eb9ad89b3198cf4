"""Stops of every kind, and rolling restarts under load: nothing is lost, and no call that had finished is repeated."""

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest

from config.embedded import processes
from orchestrator import accounts
from orchestrator.lifecycle import Status
from orchestrator.models import Claim, Request
from tests import engine, factories
from tests.acceptance import hardship, web
from tests.acceptance.backend import Backend
from tests.processes import WorkerProcess
from tests.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

StartWorker = Callable[..., WorkerProcess]
PATIENT = {"WAYBILL_DEAF_AFTER": "60"}
UNHURRIED = {  # the usual leases and more: no worker is lost, and no call broken off, because the machine is slow
    "WAYBILL_LEASE": "60",
    "WAYBILL_LEASE_MARGIN": "10",
    "WAYBILL_GRACE": "45",
    **PATIENT,
}
TROUBLE = "tests.company,tests.trouble"
GRACE = 1.5
BUSY = 30.0  # seconds that Celery and a busy machine may add; the handlers would hold out for longer


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


# ---------------------------------------------------------------- one stop

STOPS = {
    "TERM": [signal.SIGTERM],
    "TERM twice": [signal.SIGTERM, signal.SIGTERM],
    "INT": [signal.SIGINT],
    "INT twice": [signal.SIGINT, signal.SIGINT],
    "QUIT": [signal.SIGQUIT],
    "KILL": [signal.SIGKILL],
}
GENTLE = {"TERM", "TERM twice", "INT"}  # the others are Celery's cold ends: leases may have to run out, as after a kill


@pytest.mark.parametrize("how", list(STOPS))
def test_a_worker_whose_calls_hang_ends_within_its_grace_and_others_do_them(
    account: accounts.Account, worker_process: StartWorker, tmp_path: Path, how: str
) -> None:
    began, release = tmp_path / "began", tmp_path / "release"
    fields = {"began": str(began), "release": str(release)}
    request = engine.hand_in(client_id=account.id, message_type="HoldAsync", payloads=[fields] * 5)
    worker = worker_process(WAYBILL_APPS=TROUBLE, WAYBILL_GRACE=str(GRACE), **PATIENT)
    eventually(lambda: began.exists() and len(began.read_text().splitlines()) == 5, within=60, what="five handlers")

    asked_at = time.monotonic()
    for number in STOPS[how]:
        os.kill(worker.pid, number)
        if number != STOPS[how][-1]:
            eventually(lambda: "arm shutdown" in worker.output(), within=60, what="the beginning of the stop")
    worker.child.process.wait(timeout=60)
    took = time.monotonic() - asked_at
    left = engine.messages_of(request)
    given_back = not Claim.objects.exists()
    release.touch()
    worker_process(WAYBILL_APPS=TROUBLE, **PATIENT)
    books = hardship.close_books()

    assert took < GRACE + BUSY
    assert {message.attempts for message in left} == {0}
    assert given_back or how not in GENTLE, worker.output()
    assert books.by_status == {Status.COMPLETE: 5}
    assert (books.attempts, books.losses) == ({1: 5}, {1: 5})  # they may have reached their back end: that is told


def test_a_stop_lets_calls_in_flight_finish_and_gives_the_rest_back_untouched(
    account: accounts.Account, worker_process: StartWorker, tmp_path: Path
) -> None:
    """SIGTERM comes twice, as from an impatient supervisor; calls that end within the grace time are recorded."""
    began, release = tmp_path / "began", tmp_path / "release"
    fields = {"began": str(began), "release": str(release)}
    request = engine.hand_in(client_id=account.id, message_type="HoldAsync", payloads=[fields] * 300)
    worker = worker_process(WAYBILL_APPS=TROUBLE, WAYBILL_GRACE="30", WAYBILL_WINDOW_CALLS="20", **PATIENT)
    eventually(
        lambda: began.exists() and len(began.read_text().splitlines()) == 20, within=60, what="a window of handlers"
    )

    worker.child.ask_to_stop()
    eventually(lambda: "arm shutdown" in worker.output(), within=60, what="the beginning of the stop")
    worker.child.ask_to_stop()
    release.touch()
    worker.child.process.wait(timeout=60)

    messages = engine.messages_of(request)
    assert [message.status for message in messages] == [Status.COMPLETE] * 20 + [Status.QUEUED] * 280
    assert [message.attempts for message in messages] == [1] * 20 + [0] * 280
    assert {message.losses for message in messages} == {0}
    assert not Claim.objects.exists()


# ---------------------------------------------------------------- rolling


class Clients:
    """Clients that submit without a pause, each submission with a key until it is answered."""

    def __init__(self, port: int, account: accounts.Account) -> None:
        self.accepted: list[uuid.UUID] = []
        self.statuses: set[int] = set()
        self._url = f"http://127.0.0.1:{port}/api/v1/requests"
        self._auth = (account.client_id, factories.SECRET)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(2)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self) -> None:
        while not self._over.is_set():
            self._submit()

    def _submit(self) -> None:
        items = [{"messageType": "Called", "externalReference": str(number)} for number in range(10)]
        body = {"batchReference": "rolling", "errorPolicy": "proceedOnError", "payload": items}
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        while (request_id := self._try(body, headers)) is None:
            time.sleep(0.05)  # a client's own manners
        self.accepted.append(request_id)

    def _try(self, body: dict[str, Any], headers: dict[str, str]) -> uuid.UUID | None:
        try:
            answer = httpx2.post(self._url, json=body, headers=headers, auth=self._auth, timeout=30)
        except httpx2.TransportError:
            return None
        self.statuses.add(answer.status_code)
        return uuid.UUID(answer.headers["Request-Id"]) if answer.status_code == 202 else None


def test_a_rolling_restart_of_workers_and_web_loses_nothing_and_calls_nothing_twice(
    account: accounts.Account, called: Backend, worker_process: StartWorker, tmp_path: Path
) -> None:
    port = processes.free_port()
    server = web.start(tmp_path, port, name="web-0")
    workers = [worker_process(**UNHURRIED), worker_process(**UNHURRIED)]
    codes = []
    try:
        with Clients(port, account) as clients:
            for round_ in range(2):
                before = called.calls.total()
                eventually(lambda then=before: called.calls.total() > then + 50, within=60, what="work under way")
                workers.append(worker_process(**UNHURRIED))
                codes.append(workers.pop(0).stop(within=60))
                server.stop(within=30)
                server = web.start(tmp_path, port, name=f"web-{round_ + 1}")
    finally:
        server.stop(within=30)
    books = hardship.close_books(called.calls, within=120)

    assert codes == [0, 0]
    assert clients.statuses <= {202, 503}
    assert Request.objects.count() == len(clients.accepted) == len(set(clients.accepted))
    assert set(Request.objects.values_list("id", flat=True)) == set(clients.accepted)
    assert books.by_status == {Status.COMPLETE: 10 * len(clients.accepted)}
    assert (books.attempts, books.losses, books.unbalanced) == ({1: books.accepted}, {0: books.accepted}, [])
    assert (books.doubles, books.calls) == (0, books.accepted)
