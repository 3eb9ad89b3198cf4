"""Leases: how long a claim is a worker's, who renews it, and that a late worker writes nothing."""

import re
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db.models import F
from django.test import override_settings

from orchestrator import outcomes, queue, recovery, stopping
from orchestrator.handlers import Kind, MessageType, Work
from orchestrator.holdings import Lease
from orchestrator.lifecycle import Status
from orchestrator.models import Claim, Message, Request
from orchestrator.queue import Identity
from orchestrator.worker import WorkerProcess as InProcess
from tests import engine, factories, losses
from tests.processes import WorkerProcess
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

TROUBLE = "tests.company,tests.trouble"
NO_PROCESS = Identity(id=uuid.uuid4(), host="nowhere", pid=1, queues=("waybill",))


@pytest.fixture
def client_id() -> int:
    return factories.make_client().pk


def test_a_lease_is_the_claims_so_renewing_touches_one_row_a_claim(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id, payloads=[{}] * 50)
    first = losses.claim("Echo", limit=20, worker_id=NO_PROCESS.id).messages[0].claim_id
    second = losses.claim("Echo", limit=30, worker_id=NO_PROCESS.id).messages[0].claim_id
    untouched = engine.ask("SELECT array_agg(xmin::text ORDER BY id) FROM orchestrator_message")
    losses.let_leases_lapse()

    with engine.statements() as sent:
        renewal = queue.renew(NO_PROCESS, held=[first, second])

    assert renewal.claims == {first, second}
    assert len(sent) == 1
    assert engine.ask("SELECT array_agg(xmin::text ORDER BY id) FROM orchestrator_message") == untouched
    assert engine.ask("SELECT bool_and(leased_until > now()) FROM orchestrator_claim") is True
    assert engine.statuses_of(request) == [Status.PROCESSING] * 50


def test_a_running_worker_renews_its_leases(client_id: int, declare: Callable[..., MessageType]) -> None:
    held = engine.Held()
    lane = declare(held.plain).name
    engine.hand_in(client_id=client_id, message_type=lane)

    with engine.running_worker() as worker, engine.draining(worker, lane):
        assert held.began.wait(5)
        first = Claim.objects.get().leased_until
        eventually(lambda: Claim.objects.get().leased_until > first + timedelta(seconds=1), what="two renewals")
        held.release.set()


def test_a_renewal_takes_no_other_workers_claim_along(client_id: int) -> None:
    engine.hand_in(client_id=client_id, payloads=[{}] * 2)
    mine = losses.claim("Echo", limit=1, worker_id=NO_PROCESS.id).messages[0].claim_id
    other = losses.claim("Echo", limit=1).claim_id
    losses.let_leases_lapse()

    queue.renew(NO_PROCESS, held=[mine])

    assert engine.ask("SELECT leased_until < now() FROM orchestrator_claim WHERE id = %s", other) is True


def test_a_claim_whose_answer_was_lost_runs_out_though_its_worker_lives(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id, payloads=[{}] * 3)

    with engine.running_worker() as worker:
        losses.claim("Echo", worker_id=worker.identity.id)  # committed, and never known to the process
        losses.let_leases_lapse()
        eventually(lambda: set(engine.statuses_of(request)) == {Status.QUEUED}, what="the give-back")
        engine.work_off(worker, "Echo")

    assert engine.statuses_of(request) == [Status.COMPLETE] * 3


# ---------------------------------------------------------------- the fence


def test_fencing_tests_the_claim_rows_existence_not_the_time(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id)
    [message] = losses.claim("Echo").messages
    losses.let_leases_lapse()  # late, and even suspected, but nobody has given it back

    recovery.suspect_expired_claims()
    outcomes.flush([engine.ended(message)], finished_claims=[message.claim_id])

    assert engine.statuses_of(request) == [Status.COMPLETE]
    assert not Claim.objects.exists()


def test_an_outcome_of_a_claim_that_was_given_back_is_not_written(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id)
    [message] = losses.lose("Echo").messages

    outcomes.flush([engine.ended(message)], finished_claims=[message.claim_id])

    assert engine.statuses_of(request) == [Status.QUEUED]
    assert engine.messages_of(request)[0].attempts == 0
    assert engine.counters_of(request)["open"] == 1


def test_an_outcome_of_a_claim_that_was_given_back_and_claimed_again_is_not_written(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id)
    [message] = losses.lose("Echo").messages
    [again] = losses.claim("Echo", alone=True).messages

    outcomes.flush([engine.ended(message, result='"of the zombie"')], finished_claims=[message.claim_id])
    outcomes.flush([engine.ended(again, result='"of the living"')], finished_claims=[again.claim_id])

    assert [message.result for message in engine.messages_of(request)] == ['"of the living"']
    assert engine.counters_of(request)["complete"] == 1


def test_a_claims_id_does_not_come_again_after_a_crash_of_the_server(client_id: int) -> None:
    """Claims don't wait for the disk: what a crash forgets, the sequence forgets too."""
    engine.hand_in(client_id=client_id, payloads=[{}] * 2)
    engine.run("ALTER SEQUENCE orchestrator_claim_id_seq RESTART WITH 1")
    [first] = losses.lose("Echo", limit=1).messages
    engine.run("ALTER SEQUENCE orchestrator_claim_id_seq RESTART WITH 1")

    [second] = losses.claim("Echo", limit=1).messages

    assert second.claim_id != first.claim_id


def test_a_zombie_that_wakes_up_writes_nothing(
    client_id: int, worker_process: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    began, release = tmp_path / "began", tmp_path / "release"
    payloads = [{"began": str(began), "release": str(release)}, *[{}] * 5]
    request = engine.hand_in(client_id=client_id, message_type="Hold", payloads=payloads)
    zombie = worker_process(WAYBILL_APPS=TROUBLE, WAYBILL_DEAF_AFTER="60")
    eventually(began.exists, what="the first handler")
    zombie.freeze()

    # Both looks of recovery come after its lease; others finish what it held.
    with engine.running_worker():
        eventually(lambda: set(engine.statuses_of(request)) == {Status.QUEUED}, what="the give-back")
    while batch := losses.claim("Hold", alone=True).messages:
        outcomes.flush([engine.ended(m, result='"of the living"') for m in batch], finished_claims=[batch[0].claim_id])
    finished = list(Message.objects.filter(request=request).order_by("id").values())
    release.touch()
    zombie.thaw()
    eventually(lambda: "claims lost to others" in zombie.output(), what="the zombie's own discovery")
    other = engine.hand_in(client_id=client_id, message_type="Hold")  # it works on
    eventually(lambda: engine.statuses_of(other) == [Status.COMPLETE], what="its next message")

    assert list(Message.objects.filter(request=request).order_by("id").values()) == finished
    assert engine.counters_of(request)["complete"] == 6
    assert began.read_text().splitlines() == [str(engine.messages_of(request)[0].id)]  # nothing else began, either


# ---------------------------------------------------------------- no renewal, no start


def test_a_worker_that_could_not_renew_starts_no_further_handler(
    client_id: int, declare: Callable[..., MessageType]
) -> None:
    began: list[Work] = []
    first_began, release = threading.Event(), threading.Event()

    def handle(work: Work) -> None:
        began.append(work)
        first_began.set()
        release.wait(20)

    lane = declare(handle).name
    request = engine.hand_in(client_id=client_id, message_type=lane, payloads=[{}] * 3)

    with engine.running_worker(housekeeping=False) as worker, engine.draining(worker, lane):
        assert first_began.wait(5)
        [claim_id] = worker.holdings.claims()
        with override_settings(WAYBILL_LEASE=0.6, WAYBILL_LEASE_MARGIN=0.3):  # and nobody renews
            eventually(lambda: worker.holdings.lease(claim_id) is Lease.UNSURE, what="lease - margin")
            release.set()
            eventually(lambda: engine.statuses_of(request)[0] == Status.COMPLETE, what="the first outcome")
            assert len(began) == 1

            losses.let_leases_lapse()
            losses.recover()
            renew(worker)

    assert len(began) == 1
    assert engine.statuses_of(request) == [Status.COMPLETE, Status.QUEUED, Status.QUEUED]
    assert [message.attempts for message in engine.messages_of(request)] == [1, 0, 0]


def test_a_late_renewal_that_finds_the_claim_lets_its_handlers_start(
    client_id: int, declare: Callable[..., MessageType]
) -> None:
    began: list[Work] = []
    lane = declare(began.append).name
    request = engine.hand_in(client_id=client_id, message_type=lane, payloads=[{}] * 3)

    with engine.running_worker(housekeeping=False) as worker, ExitStack() as drain:
        with override_settings(WAYBILL_LEASE_MARGIN=3600.0):  # nothing is ever sure
            drain.enter_context(engine.draining(worker, lane))
            [claim_id] = eventually(worker.holdings.claims)
            assert worker.holdings.lease(claim_id) is Lease.UNSURE
            assert not began
        renew(worker)
        drain.close()
        assert worker.recorder.wait_until_empty(timeout=5)

    assert engine.statuses_of(request) == [Status.COMPLETE] * 3


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.ASYNC])
def test_a_look_for_stops_that_the_ledger_refuses_is_made_again(
    client_id: int, declare: Callable[..., MessageType], kind: Kind
) -> None:
    async def handle(_: Work) -> None: ...

    lane = declare(handle if kind is Kind.ASYNC else lambda _: None, kind=kind).name
    request = engine.hand_in(client_id=client_id, message_type=lane)

    with engine.running_worker(housekeeping=False) as worker, ExitStack() as drain:
        with override_settings(WAYBILL_STOPS_AGE=-1.0):  # what is known is never fresh enough
            drain.enter_context(engine.draining(worker, lane))
            eventually(lambda: engine.ask(CANCEL_LOOKS) > 0, what="a look that was cancelled")
        drain.close()
        eventually(lambda: engine.statuses_of(request) == [Status.COMPLETE])


# As an operator does, or a statement timeout: no error of the connection.
CANCEL_LOOKS = """
SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
WHERE query LIKE 'SELECT id FROM orchestrator_request WHERE id = ANY%%' AND state = 'active'
"""


def renew(worker: InProcess) -> None:
    """One heartbeat, as housekeeping has it."""
    held = worker.holdings.claims()
    now = time.monotonic()
    renewal = queue.renew(worker.identity, held=held)
    worker.holdings.renewed(before=held, still_ours=renewal.claims, at=now)


# ---------------------------------------------------------------- the database's clock


def test_all_times_and_lease_arithmetic_come_from_the_database_clock(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id, payloads=[{}] * 4)
    Request.objects.filter(pk=request.pk).update(deadline_at=F("received_at") + timedelta(hours=1))

    with engine.statements() as sent:
        batch = queue.claim(worker_id=NO_PROCESS.id, lane="Echo", limit=3)
        queue.renew(NO_PROCESS, held=[batch.claim_id or 0])
        queue.find_stopped([request.pk])
        outcomes.flush(
            [
                engine.ended(batch.messages[0]),
                engine.ended(batch.messages[1], outcomes.Ending.RETRY, delay=5.0),
                engine.ended(batch.messages[2], outcomes.Ending.FAILED),
            ]
        )
        losses.let_leases_lapse()
        del sent[-1]  # the test's own
        recovery.release_due_retries()
        recovery.suspect_expired_claims()
        recovery.give_back_lost_claims()
        recovery.forget_silent_workers()
        recovery.find_waiting_lanes()
        stopping.expire_overdue()
        stopping.cancel(client_id=client_id, request_id=request.pk)

    now = time.time()
    assert len(sent) > 15
    for statement, parameters in sent:
        assert not _times_in(parameters, near=now), statement


def _times_in(value: object, *, near: float) -> list[object]:
    """Whatever in a statement's parameters could be a time of the worker's clock."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [found for part in value for found in _times_in(part, near=near)]
    if isinstance(value, datetime):
        # `processed_at` comes back from the statement that wrote it: the database's own, to its microseconds.
        own = engine.ask("SELECT count(*) FROM orchestrator_message WHERE processed_at = %s", value)
        return [] if own else [value]
    if isinstance(value, float | int):
        return [value] if abs(value - near) < 86_400 or abs(value - near * 1000) < 86_400_000 else []
    return [value] if isinstance(value, str) and re.match(datetime.now(UTC).strftime("%Y-%m-%d"), value) else []
