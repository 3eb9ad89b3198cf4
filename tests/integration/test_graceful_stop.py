"""A graceful stop costs nothing: no attempt, no loss, no delay for what had not begun."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import override_settings

from orchestrator.handlers import Kind, MessageType, Work
from orchestrator.lifecycle import Status
from orchestrator.models import Claim, Worker
from tests import engine, factories
from tests.processes import WorkerProcess
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

Declare = Callable[..., MessageType]
TROUBLE = "tests.company,tests.trouble"


@pytest.fixture
def client_id() -> int:
    return factories.make_client().pk


def test_what_has_not_begun_is_given_back_at_once_without_an_attempt_or_a_loss(
    client_id: int, declare: Declare
) -> None:
    held = engine.Held()
    lane = declare(held.plain).name
    request = engine.hand_in(client_id=client_id, message_type=lane, payloads=[{}] * 5)

    with engine.running_worker() as worker, engine.draining(worker, lane):
        assert held.began.wait(5)
        worker.begin_stop()
        held.release.set()

    assert engine.statuses_of(request) == [Status.COMPLETE] + [Status.QUEUED] * 4
    for message in engine.messages_of(request)[1:]:
        assert (message.attempts, message.losses, message.suspect) == (0, 0, False)
        assert message.available_at is None
    assert not Claim.objects.exists()
    assert not Worker.objects.exists()
    assert set(engine.wake_ups()) == {lane}  # the others are called at once; where the cache is slow, twice


def test_calls_in_flight_may_finish_within_the_grace_time(client_id: int, declare: Declare) -> None:
    held = engine.Held()
    lane = declare(held.call, kind=Kind.ASYNC).name
    request = engine.hand_in(client_id=client_id, message_type=lane, payloads=[{}] * 3)

    with engine.running_worker() as worker:
        with engine.draining(worker, lane):
            assert held.began.wait(5)
            worker.begin_stop()
        held.release.set()

    assert engine.statuses_of(request) == [Status.COMPLETE] * 3
    assert [message.attempts for message in engine.messages_of(request)] == [1] * 3


def test_calls_that_run_past_the_grace_time_are_broken_off_and_given_back(client_id: int, declare: Declare) -> None:
    begun, never = threading.Semaphore(0), threading.Event()

    async def handle(_: Work) -> None:
        begun.release()
        await engine.until(never)

    lane = declare(handle, kind=Kind.ASYNC).name
    request = engine.hand_in(client_id=client_id, message_type=lane, payloads=[{}] * 3)

    with override_settings(WAYBILL_GRACE=0.3), engine.running_worker() as worker, engine.draining(worker, lane):
        assert all(begun.acquire(timeout=20) for _ in range(3))
        worker.begin_stop()

    # They had begun, so they may have reached their back end: that is told by a loss, which condemns nobody.
    for message in engine.messages_of(request):
        assert (message.status, message.attempts, message.losses) == (Status.QUEUED, 0, 1)
        assert (message.suspect, message.losses_alone) == (False, 0)


def test_a_stopping_worker_claims_nothing_more(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id)

    with engine.running_worker() as worker:
        worker.begin_stop()
        worker.drain("Echo")

    assert engine.statuses_of(request) == [Status.QUEUED]
    assert engine.messages_of(request)[0].first_started_at is None


def test_a_stop_while_a_suspect_waits_to_be_alone_ends(client_id: int, declare: Declare) -> None:
    held = engine.Held()
    busy = declare(held.plain).name
    engine.hand_in(client_id=client_id, message_type=busy)
    suspect = engine.hand_in(client_id=client_id)
    engine.run("UPDATE orchestrator_message SET suspect = true WHERE lane = 'Echo'")

    with (
        engine.running_worker() as worker,
        engine.draining(worker, busy),
        engine.draining(worker, "Echo"),
    ):
        assert held.began.wait(5)
        eventually(lambda: worker.holdings._someone_alone, what="the suspect's wait")
        worker.begin_stop()
        held.release.set()

    assert engine.statuses_of(suspect) == [Status.QUEUED]


# ---------------------------------------------------------------- real processes


@pytest.mark.parametrize("message_type", ["Hold", "HoldAsync"])
def test_sigterm_lets_what_runs_finish_and_gives_the_rest_back(
    client_id: int, worker_process: Callable[..., WorkerProcess], tmp_path: Path, message_type: str
) -> None:
    began, release = tmp_path / "began", tmp_path / "release"
    payloads = [{"began": str(began), "release": str(release)}] * 200
    request = engine.hand_in(client_id=client_id, message_type=message_type, payloads=payloads)
    worker = worker_process(WAYBILL_APPS=TROUBLE, WAYBILL_GRACE="10")
    eventually(began.exists, what="the first handler")

    worker.child.ask_to_stop()
    eventually(lambda: "Warm shutdown" in worker.output(), what="the beginning of the stop")
    release.touch()
    worker.child.process.wait(timeout=10)

    assert worker.child.process.returncode == 0, worker.output()
    begun = len(began.read_text().splitlines())
    messages = engine.messages_of(request)
    assert [message.status for message in messages] == [Status.COMPLETE] * begun + [Status.QUEUED] * (200 - begun)
    assert [message.attempts for message in messages] == [1] * begun + [0] * (200 - begun)
    assert {message.losses for message in messages} == {0}
    assert not Claim.objects.exists()


def test_sigterm_leaves_a_handler_behind_that_runs_past_the_grace_time(
    client_id: int, worker_process: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    began, never = tmp_path / "began", tmp_path / "never"
    request = engine.hand_in(
        client_id=client_id, message_type="Hold", payloads=[{"began": str(began), "release": str(never)}] * 3
    )
    worker = worker_process(WAYBILL_APPS=TROUBLE, WAYBILL_GRACE="0.5")
    eventually(began.exists, what="the first handler")

    asked_at = time.monotonic()
    worker.child.process.send_signal(signal.SIGTERM)
    worker.child.process.wait(timeout=10)

    assert time.monotonic() - asked_at < 5
    assert worker.child.process.returncode == 0
    first, *others = engine.messages_of(request)
    assert (first.status, first.attempts, first.losses, first.suspect) == (Status.QUEUED, 0, 1, False)
    assert [(message.status, message.losses) for message in others] == [(Status.QUEUED, 0)] * 2
    assert not Claim.objects.exists()


def test_an_idle_worker_stops_at_once(client_id: int, worker_process: Callable[..., WorkerProcess]) -> None:
    worker = worker_process(WAYBILL_GRACE="100")
    eventually(Worker.objects.exists, what="the worker's row")

    asked_at = time.monotonic()
    code = worker.stop(within=60)

    assert code == 0, worker.output()
    assert time.monotonic() - asked_at < 50  # on the slowest machine: what it waits for is not the grace time
    assert not Worker.objects.exists()


def test_a_stop_after_the_database_was_restarted_is_as_good_as_any(
    worker_process: Callable[..., WorkerProcess],
) -> None:
    """The main thread speaks to the ledger at the start and at the stop only: its connection is long dead by then."""
    worker = worker_process()
    engine.ask(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    assert worker.stop() == 0
    assert "worker stopped" in worker.output()
    assert not Worker.objects.exists()
