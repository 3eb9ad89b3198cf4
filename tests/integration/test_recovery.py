"""Recovery: two looks before a give-back, and what a given-back message is."""

import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from orchestrator import queue, recovery, retries, stopping
from orchestrator.handlers import Kind, MessageType
from orchestrator.lifecycle import FailureKind, Status
from orchestrator.models import Claim, Lane, Message
from tests import engine, factories, losses
from tests.processes import WorkerProcess
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

TROUBLE = "tests.company,tests.trouble"


@pytest.fixture
def client_id() -> int:
    return factories.make_client().pk


# ---------------------------------------------------------------- the two looks


def test_a_claim_past_its_lease_is_marked_suspect_and_given_back_one_heartbeat_later(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id, payloads=[{}] * 3)
    losses.claim("Echo")
    losses.let_leases_lapse()

    assert recovery.suspect_expired_claims() == 1
    assert recovery.give_back_lost_claims() == set()  # the first look gives nothing back
    assert engine.statuses_of(request) == [Status.PROCESSING] * 3

    losses.let_a_heartbeat_pass()
    assert recovery.give_back_lost_claims() == {"Echo"}
    assert engine.statuses_of(request) == [Status.QUEUED] * 3
    assert not Claim.objects.exists()


def test_a_claim_within_its_lease_is_not_suspected(client_id: int) -> None:
    engine.hand_in(client_id=client_id)
    losses.claim("Echo")

    assert losses.recover() == set()
    assert Claim.objects.get().suspected_at is None


def test_the_first_look_is_not_moved_by_later_ones(client_id: int) -> None:
    engine.hand_in(client_id=client_id)
    losses.claim("Echo")
    losses.let_leases_lapse()
    recovery.suspect_expired_claims()
    first = Claim.objects.get().suspected_at

    assert recovery.suspect_expired_claims() == 0
    assert Claim.objects.get().suspected_at == first


def test_after_a_database_outage_the_live_workers_renew_first(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id)
    worker = queue.Identity(id=uuid.uuid4(), host="here", pid=1, queues=("waybill",))
    [message] = losses.claim("Echo", worker_id=worker.id).messages
    losses.let_leases_lapse()  # nobody could renew while the database was away

    recovery.suspect_expired_claims()  # somebody's first look comes first
    renewal = queue.renew(worker, held=[message.claim_id])
    losses.let_a_heartbeat_pass()

    assert recovery.give_back_lost_claims() == set()
    assert renewal.claims == {message.claim_id}
    assert Claim.objects.get().suspected_at is None
    assert engine.statuses_of(request) == [Status.PROCESSING]


def test_a_renewal_clears_the_suspicion_so_that_a_later_lapse_gets_two_looks_again(client_id: int) -> None:
    engine.hand_in(client_id=client_id)
    worker = queue.Identity(id=uuid.uuid4(), host="here", pid=1, queues=("waybill",))
    [message] = losses.claim("Echo", worker_id=worker.id).messages
    losses.let_leases_lapse()
    recovery.suspect_expired_claims()
    queue.renew(worker, held=[message.claim_id])
    losses.let_leases_lapse()

    assert recovery.give_back_lost_claims() == set()
    assert losses.recover() == {"Echo"}


def test_a_claim_whose_outcomes_are_being_recorded_is_not_given_back(client_id: int) -> None:
    engine.hand_in(client_id=client_id)
    losses.claim("Echo")
    losses.let_leases_lapse()
    recovery.suspect_expired_claims()
    losses.let_a_heartbeat_pass()
    given_back: list[set[str]] = []

    with transaction.atomic(), connection.cursor() as flush:
        flush.execute("SELECT id FROM orchestrator_claim FOR NO KEY UPDATE")
        with engine.at_once(lambda: given_back.append(recovery.give_back_lost_claims())):
            pass  # it doesn't wait, either

    assert given_back == [set()]


# ---------------------------------------------------------------- what is given back


def test_attempts_counts_recorded_tries_and_losses_is_its_own_column(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id)

    losses.lose("Echo")

    [message] = engine.messages_of(request)
    assert (message.attempts, message.losses) == (0, 1)
    assert message.claim_id is None
    assert engine.counters_of(request)["open"] == 1


def test_a_given_back_message_gets_the_clock_plus_its_rank_among_its_clients_messages(client_id: int) -> None:
    other = factories.make_client().pk
    mine = engine.hand_in(client_id=client_id, payloads=[{}] * 3)
    theirs = engine.hand_in(client_id=other, payloads=[{}] * 2)
    losses.claim("Echo")
    Lane.objects.filter(name="Echo").update(clock=1_000)
    losses.let_leases_lapse()

    losses.recover()

    assert [message.turn for message in engine.messages_of(mine)] == [1_001, 1_002, 1_003]
    assert [message.turn for message in engine.messages_of(theirs)] == [1_001, 1_002]


def test_give_back_turns_a_message_of_a_stopped_request_cancelled(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id, payloads=[{}] * 3)
    losses.claim("Echo", limit=2)
    stopping.cancel(client_id=client_id, request_id=request.pk)
    losses.let_leases_lapse()

    losses.recover()

    assert engine.statuses_of(request) == [Status.CANCELLED] * 3
    assert engine.counters_of(request) == {"cancelled": 3}
    request.refresh_from_db()
    assert request.completed_at is not None


def test_every_lost_claim_is_given_back_though_a_sweep_is_bounded(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id, payloads=[{}] * 50)
    for _ in range(50):
        losses.claim("Echo", limit=1)
    losses.let_leases_lapse()

    losses.recover()
    after_one = Claim.objects.count()
    while losses.recover():
        pass

    assert 0 < after_one < 50
    assert engine.statuses_of(request) == [Status.QUEUED] * 50


def test_a_worker_that_is_lost_leaves_nothing_undone(
    client_id: int, worker_process: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    began, release = tmp_path / "began", tmp_path / "release"
    payloads = [{"began": str(began), "release": str(release)}] * 3
    request = engine.hand_in(client_id=client_id, message_type="Hold", payloads=payloads)
    worker = worker_process(WAYBILL_APPS=TROUBLE)
    eventually(began.exists, what="the first handler")

    worker.kill()
    release.touch()
    worker_process(WAYBILL_APPS=TROUBLE)

    eventually(lambda: engine.statuses_of(request) == [Status.COMPLETE] * 3, what="the work of the lost worker")
    assert [(message.attempts, message.losses) for message in engine.messages_of(request)] == [(1, 1)] * 3
    assert engine.counters_of(request)["complete"] == 3


def test_a_handler_over_its_timeout_and_grace_ends_the_process_and_recovery_does_the_rest(
    client_id: int, worker_process: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    request = engine.hand_in(client_id=client_id, message_type="Hang", payloads=[{"began": str(tmp_path / "began")}])
    worker = worker_process(WAYBILL_APPS=TROUBLE)

    eventually(lambda: not worker.alive, what="the end of the process")
    assert "handler hangs: the process ends" in worker.output()
    assert engine.statuses_of(request) == [Status.PROCESSING]  # nothing but the end: the fence is recovery's

    worker_process(WAYBILL_APPS=TROUBLE)
    eventually(lambda: engine.statuses_of(request) == [Status.COMPLETE], what="the second try")
    [message] = engine.messages_of(request)
    assert (message.attempts, message.losses, message.result) == (1, 1, '"came back"')


@pytest.mark.parametrize(
    ("name", "kind"),
    [("leave", Kind.PLAIN), ("leave", Kind.BATCH), ("leave_async", Kind.ASYNC), ("break_off", Kind.ASYNC)],
)
def test_a_handler_that_leaves_the_program_strands_nothing(
    client_id: int, declare: Callable[..., MessageType], name: str, kind: Kind
) -> None:
    from tests.trouble import handlers as trouble

    once = retries.Policy.from_settings(attempts=1)
    message_type = declare(getattr(trouble, name), kind=kind, policy=once).name
    request = engine.hand_in(client_id=client_id, message_type=message_type, payloads=[{}] * 2)

    with engine.running_worker() as worker:
        engine.work_off(worker, message_type)

    assert engine.statuses_of(request) == [Status.FAILED] * 2
    assert {message.failure_kind for message in engine.messages_of(request)} == {FailureKind.INTERNAL}


# ---------------------------------------------------------------- a type that this worker doesn't know


def test_a_type_that_this_worker_does_not_know_is_given_back_untouched(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id, message_type="OfTheNextRelease", lane="Shared")
    known = engine.hand_in(client_id=client_id, lane="Shared")

    with engine.running_worker() as worker:
        engine.work_off(worker, "Shared")

    [message] = engine.messages_of(request)
    assert (message.status, message.attempts, message.losses, message.suspect) == (Status.QUEUED, 0, 0, False)
    assert message.available_at is not None  # offered again a little later, not in a hot loop
    assert engine.statuses_of(known) == [Status.COMPLETE]


def test_a_worker_of_the_next_release_carries_the_unknown_type_out(
    client_id: int, worker_process: Callable[..., WorkerProcess]
) -> None:
    request = engine.hand_in(client_id=client_id, message_type="Hold")
    with engine.running_worker() as old:
        engine.work_off(old, "Hold")
        assert engine.messages_of(request)[0].available_at is not None

    Message.objects.filter(request=request).update(available_at=Now() - timedelta(seconds=1))
    worker_process(WAYBILL_APPS=TROUBLE)

    eventually(lambda: engine.statuses_of(request) == [Status.COMPLETE], what="the new release's work")
    assert engine.messages_of(request)[0].attempts == 1


def test_an_unknown_type_is_offered_again_within_seconds(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id, message_type="OfTheNextRelease")

    with engine.running_worker() as worker:
        engine.work_off(worker, "OfTheNextRelease")

    [message] = engine.messages_of(request)
    assert message.available_at is not None
    assert 0 < message.available_at.timestamp() - time.time() < 10
