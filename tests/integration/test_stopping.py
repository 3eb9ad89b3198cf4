"""Stopping a request: cancelled by its client, halted by a failure, expired at its deadline."""

import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from orchestrator import outcomes, recovery, stopping
from orchestrator.finishing import Effect, Finished
from orchestrator.lifecycle import ErrorPolicy, Status
from orchestrator.models import Claim, Message, Request
from orchestrator.outcomes import Ending
from orchestrator.stopping import AlreadyFinished, UnknownRequest
from tests import engine
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

LANE = "Echo"


def flush(*ended: outcomes.Outcome) -> None:
    outcomes.flush(ended)


def in_the_past() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=60)


# ---------------------------------------------------------------- cancel


def test_cancelling_cancels_the_queued_messages_in_the_same_transaction() -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 3)

    stopping.cancel(client_id=1, request_id=request.pk)

    assert engine.counters_of(request) == {"cancelled": 3}
    assert (request.stop_reason, bool(request.stopped_at)) == ("cancelled", True)
    assert request.completed_at == max(message.processed_at for message in engine.messages_of(request))


def test_cancelling_leaves_claimed_messages_to_their_worker() -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 4)
    claimed = engine.claim(LANE, limit=2).messages

    stopping.cancel(client_id=1, request_id=request.pk)
    assert engine.counters_of(request) == {"open": 2, "cancelled": 2}
    assert request.completed_at is None

    flush(engine.ended(claimed[0]), engine.ended(claimed[1], Ending.SKIPPED))  # one had begun
    assert engine.counters_of(request) == {"complete": 1, "cancelled": 3}
    assert request.completed_at


def test_cancelling_reaches_a_message_that_waits_for_its_retry() -> None:
    request = engine.hand_in(client_id=1)
    [claimed] = engine.claim(LANE).messages
    flush(engine.ended(claimed, Ending.RETRY, delay=3600.0))

    stopping.cancel(client_id=1, request_id=request.pk)

    [message] = engine.messages_of(request)
    assert (message.status, message.available_at) == (Status.CANCELLED, None)


def test_an_unknown_request_cannot_be_cancelled() -> None:
    with pytest.raises(UnknownRequest):
        stopping.cancel(client_id=1, request_id=uuid.uuid4())


def test_another_clients_request_is_unknown() -> None:
    request = engine.hand_in(client_id=1)

    with pytest.raises(UnknownRequest):
        stopping.cancel(client_id=2, request_id=request.pk)

    assert engine.counters_of(request) == {"open": 1}


def test_a_finished_request_cannot_be_cancelled() -> None:
    request = engine.hand_in(client_id=1)
    [claimed] = engine.claim(LANE).messages
    flush(engine.ended(claimed))

    with pytest.raises(AlreadyFinished):
        stopping.cancel(client_id=1, request_id=request.pk)

    request.refresh_from_db()
    assert request.stopped_at is None


def test_a_service_is_ended_by_its_owner_and_cannot_be_cancelled() -> None:
    request = engine.hand_in(client_id=1)
    Request.objects.update(door="services")

    with pytest.raises(AlreadyFinished):
        stopping.cancel(client_id=1, request_id=request.pk)


def test_cancelling_twice_keeps_the_first_stop() -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 2)
    engine.claim(LANE, limit=1)
    stopping.cancel(client_id=1, request_id=request.pk)
    request.refresh_from_db()
    first = request.stopped_at

    stopping.cancel(client_id=1, request_id=request.pk)

    request.refresh_from_db()
    assert request.stopped_at == first
    assert engine.counters_of(request) == {"open": 1, "cancelled": 1}


# ---------------------------------------------------------------- halt


def test_a_failure_under_halt_on_error_cancels_what_is_queued_in_its_transaction() -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 5, error_policy=ErrorPolicy.HALT)
    first, second = engine.claim(LANE, limit=2).messages

    flush(engine.ended(first, Ending.REJECTED, error="no"))

    assert engine.counters_of(request) == {"open": 1, "failed": 1, "cancelled": 3}
    assert request.stop_reason == "halted"

    flush(engine.ended(second))  # it was under way
    assert engine.counters_of(request) == {"complete": 1, "failed": 1, "cancelled": 3}


@pytest.mark.parametrize("ending", [Ending.REJECTED, Ending.FAILED, Ending.TIMED_OUT])
def test_every_kind_of_failure_halts(ending: Ending) -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 2, error_policy=ErrorPolicy.HALT)
    [claimed] = engine.claim(LANE, limit=1).messages

    flush(engine.ended(claimed, ending))

    assert engine.counters_of(request) == {"failed": 1, "cancelled": 1}


def test_a_retry_does_not_halt() -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 2, error_policy=ErrorPolicy.HALT)
    [claimed] = engine.claim(LANE, limit=1).messages

    flush(engine.ended(claimed, Ending.RETRY, delay=1.0))

    assert engine.counters_of(request) == {"open": 2}
    assert request.stopped_at is None


def test_a_failure_under_proceed_on_error_stops_nothing() -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 3)
    [claimed] = engine.claim(LANE, limit=1).messages

    flush(engine.ended(claimed, Ending.FAILED))

    assert engine.counters_of(request) == {"open": 2, "failed": 1}


def test_a_retry_in_the_flush_that_halts_its_request_is_cancelled_too() -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 3, error_policy=ErrorPolicy.HALT)
    claimed = engine.claim(LANE).messages

    flush(
        engine.ended(claimed[0], Ending.RETRY, delay=1.0),
        engine.ended(claimed[1], Ending.FAILED),
        engine.ended(claimed[2], Ending.RETURNED),
    )

    assert engine.counters_of(request) == {"failed": 1, "cancelled": 2}


# ---------------------------------------------------------------- expire


def test_an_overdue_request_is_stopped() -> None:
    overdue = engine.hand_in(client_id=1, payloads=[{}] * 2, deadline_at=in_the_past())
    timely = engine.hand_in(client_id=1, deadline_at=datetime.now(UTC) + timedelta(hours=1))
    patient = engine.hand_in(client_id=1)

    assert stopping.expire_overdue() == 1

    assert engine.counters_of(overdue) == {"cancelled": 2}
    assert overdue.stop_reason == "expired"
    assert engine.counters_of(timely) == engine.counters_of(patient) == {"open": 1}


def test_expiring_lets_calls_under_way_finish() -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 2, deadline_at=in_the_past())
    [claimed] = engine.claim(LANE, limit=1).messages

    stopping.expire_overdue()
    flush(engine.ended(claimed))

    assert engine.counters_of(request) == {"complete": 1, "cancelled": 1}


def test_a_request_is_expired_once() -> None:
    engine.hand_in(client_id=1, deadline_at=in_the_past())

    assert [stopping.expire_overdue() for _ in range(2)] == [1, 0]


def test_many_overdue_requests_are_expired_in_small_batches() -> None:
    for _ in range(5):
        engine.hand_in(client_id=1, deadline_at=in_the_past())

    assert [stopping.expire_overdue(limit=2) for _ in range(4)] == [2, 2, 1, 0]


def test_several_workers_expire_without_waiting_for_each_other() -> None:
    for _ in range(20):
        engine.hand_in(client_id=1, deadline_at=in_the_past())
    expired: list[int] = []

    with engine.at_once(*[lambda: expired.extend(stopping.expire_overdue(limit=3) for _ in range(10))] * 3):
        pass
    while more := stopping.expire_overdue():
        expired.append(more)

    assert sum(expired) == 20
    assert not Request.objects.filter(open__gt=0).exists()


def test_a_deadline_passes_for_a_message_that_waits_in_a_running_worker() -> None:
    request = engine.hand_in(
        client_id=1, message_type="NobodyKnows", deadline_at=datetime.now(UTC) + timedelta(seconds=0.3)
    )

    with engine.running_worker():
        eventually(lambda: engine.counters_of(request) == {"cancelled": 1}, within=5, what="the deadline")


# ---------------------------------------------------------------- an effect that always raises


class Poison:
    """An app's effect that raises whenever a request is among those that it is given; the others it notes."""

    def __init__(self, request: Request) -> None:
        self.poisoned = request.pk
        self.told: list[uuid.UUID] = []

    def __call__(self, cursor: CursorWrapper, finished: Sequence[Finished]) -> None:
        cursor.execute("SELECT 1 / CASE WHEN %s THEN 0 ELSE 1 END", [self._is_among(finished)])
        self.told.extend(message.request_id for message in finished)

    def _is_among(self, finished: Sequence[Finished]) -> bool:
        return self.poisoned in {message.request_id for message in finished}


def test_an_effect_that_always_raises_on_one_keeps_no_other_from_expiring(
    effects: Callable[[str, Effect], None],
) -> None:
    overdue = [engine.hand_in(client_id=1, deadline_at=in_the_past()) for _ in range(9)]
    poison = Poison(overdue[4])
    effects(LANE, poison)

    assert stopping.expire_overdue() == 9

    assert [engine.counters_of(request) for request in overdue] == [{"cancelled": 1}] * 9
    assert sorted(poison.told) == sorted(request.pk for request in overdue if request != overdue[4])


def test_an_effect_that_always_raises_keeps_no_request_from_being_cancelled(
    effects: Callable[[str, Effect], None],
) -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 3)
    effects(LANE, Poison(request))

    stopping.cancel(client_id=1, request_id=request.pk)

    assert engine.counters_of(request) == {"cancelled": 3}


# ---------------------------------------------------------------- nothing becomes Queued behind a stop


@pytest.mark.parametrize("ending", [Ending.RETRY, Ending.RETURNED, Ending.INTERRUPTED])
def test_whatever_would_be_queued_again_behind_a_stop_is_cancelled(ending: Ending) -> None:
    request = engine.hand_in(client_id=1)
    [claimed] = engine.claim(LANE).messages
    stopping.cancel(client_id=1, request_id=request.pk)

    flush(engine.ended(claimed, ending, delay=1.0 if ending is Ending.RETRY else None))

    assert engine.counters_of(request) == {"cancelled": 1}
    assert request.completed_at


def test_a_give_back_behind_a_stop_is_cancelled() -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 2)
    engine.claim(LANE)
    stopping.cancel(client_id=1, request_id=request.pk)
    Claim.objects.update(leased_until=in_the_past(), suspected_at=in_the_past())

    recovery.give_back_lost_claims()

    assert engine.counters_of(request) == {"cancelled": 2}
    assert not Claim.objects.exists()


def test_a_retry_waits_for_a_cancel_that_is_under_way_and_then_sees_it() -> None:
    """The race: the retry's flush looks at the request while the cancel has not committed yet."""
    request = engine.hand_in(client_id=1)
    [claimed] = engine.claim(LANE).messages
    flushed = threading.Event()

    def retry() -> None:
        flush(engine.ended(claimed, Ending.RETRY, delay=1.0))
        flushed.set()

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT FROM orchestrator_request WHERE id = %s FOR NO KEY UPDATE", [request.pk])
        thread = threading.Thread(target=lambda: (retry(), connection.close()), daemon=True)
        thread.start()
        stopping.stop_locked(cursor, [request.pk], reason=stopping.StopReason.CANCELLED)
        assert not flushed.wait(timeout=0.2)
    thread.join(timeout=10)

    assert engine.counters_of(request) == {"cancelled": 1}


def test_releasing_a_retry_and_cancelling_it_at_once_leaves_nothing_queued() -> None:
    for _ in range(15):
        request = engine.hand_in(client_id=1, payloads=[{}] * 3)
        flush(*[engine.ended(message, Ending.RETRY, delay=3600.0) for message in engine.claim(LANE).messages])
        Message.objects.filter(request=request).update(available_at=in_the_past())

        with engine.at_once(
            recovery.release_due_retries,
            lambda request=request: stopping.cancel(client_id=1, request_id=request.pk),
        ):
            pass

        assert engine.counters_of(request) == {"cancelled": 3}


def test_cancelling_while_workers_claim_and_report_loses_nothing() -> None:
    requests = [engine.hand_in(client_id=1, payloads=[{}] * 20) for _ in range(10)]

    def work() -> None:
        endings = (Ending.COMPLETE, Ending.FAILED, Ending.RETURNED)  # by the message: always the same one
        while claimed := engine.claim(LANE, limit=7).messages:
            flush(*[engine.ended(message, endings[message.id.int % 3]) for message in claimed])

    def cancel() -> None:
        for request in requests:
            try:
                stopping.cancel(client_id=1, request_id=request.pk)
            except AlreadyFinished:
                continue

    with engine.at_once(work, work, work, cancel):
        pass
    work()

    for request in requests:
        statuses = engine.statuses_of(request)
        assert Status.QUEUED not in statuses
        counters = {
            name: statuses.count(status)
            for name, status in (
                ("complete", Status.COMPLETE),
                ("failed", Status.FAILED),
                ("cancelled", Status.CANCELLED),
            )
            if status in statuses
        }
        assert engine.counters_of(request) == counters
