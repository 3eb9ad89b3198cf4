"""Housekeeping: what every worker process does beside its work, and when it gives up."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import redis
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.test import override_settings

from config.celery import app
from orchestrator import recovery, stopping
from orchestrator.deafness import Deafness
from orchestrator.handlers import MessageType
from orchestrator.lifecycle import Status, StopReason
from orchestrator.models import Lane, Message, Request, Worker
from tests import engine, factories, losses
from tests.processes import WorkerProcess
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

Declare = Callable[..., MessageType]


@pytest.fixture
def client_id() -> int:
    return factories.make_client().pk


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The codes with which this process would have ended."""
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    return codes


def set_aside(request: Request, *, for_seconds: float) -> None:
    """Make the request's messages retries that are due in so many seconds."""
    Message.objects.filter(request=request).update(available_at=Now() + timedelta(seconds=for_seconds))


def let_wait(*, seconds: float) -> None:
    """As if all messages had come earlier."""
    Message.objects.update(received_at=F("received_at") - timedelta(seconds=seconds))


# ---------------------------------------------------------------- releasing retries


def test_due_retries_are_released_within_a_second(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id, payloads=[{}] * 3)
    set_aside(request, for_seconds=0.4)

    with engine.running_worker():
        eventually(lambda: not _set_aside(request), what="the release")
        late = float(engine.ask("SELECT extract(epoch FROM now())")) - due_at(request)

    assert 0 <= late < 1
    assert "Echo" in engine.wake_ups()


def due_at(request: Request) -> float:
    """When the retries of `set_aside` were due, at the latest: they were made right after the request."""
    return request.received_at.timestamp() + 0.4


def _set_aside(request: Request) -> bool:
    return Message.objects.filter(request=request, available_at__isnull=False).exists()


def test_a_retry_that_is_not_due_stays(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id)
    set_aside(request, for_seconds=60)

    assert recovery.release_due_retries() == set()
    assert _set_aside(request)


def test_a_released_retry_gets_the_clock_plus_its_rank_among_its_clients_messages(client_id: int) -> None:
    other = factories.make_client().pk
    mine = engine.hand_in(client_id=client_id, payloads=[{}] * 3)
    theirs = engine.hand_in(client_id=other, payloads=[{}])
    Lane.objects.filter(name="Echo").update(clock=500)
    for request in (mine, theirs):
        set_aside(request, for_seconds=-1)

    assert recovery.release_due_retries() == {"Echo"}
    assert [message.turn for message in engine.messages_of(mine)] == [501, 502, 503]
    assert [message.turn for message in engine.messages_of(theirs)] == [501]


def test_release_goes_in_bounded_batches(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id, payloads=[{}] * 1_100)
    set_aside(request, for_seconds=-1)
    left = []

    while recovery.release_due_retries():
        left.append(Message.objects.filter(available_at__isnull=False).count())

    assert left == [600, 100, 0]


# ---------------------------------------------------------------- deadlines


def test_deadlines_expire(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id, payloads=[{}] * 3)
    Request.objects.update(deadline_at=Now() - timedelta(seconds=1))

    with engine.running_worker():
        eventually(lambda: engine.statuses_of(request) == [Status.CANCELLED] * 3, what="the expiry")

    request.refresh_from_db()
    assert (request.stop_reason, request.cancelled, request.open) == (StopReason.EXPIRED, 3, 0)


def test_expiry_goes_in_bounded_batches(client_id: int) -> None:
    for _ in range(7):
        engine.hand_in(client_id=client_id)
    Request.objects.update(deadline_at=Now() - timedelta(seconds=1))

    assert [stopping.expire_overdue(limit=3) for _ in range(4)] == [3, 3, 1, 0]


# ---------------------------------------------------------------- waking lanes


def test_a_lane_whose_oldest_claimable_message_is_stale_is_woken_ignoring_the_flag(client_id: int) -> None:
    engine.hand_in(client_id=client_id)
    let_wait(seconds=60)
    flag = redis.Redis.from_url(os.environ["CACHE_URL"])
    with flag, engine.running_worker():
        from django.core.cache import cache

        cache.set("wake:Echo", 1, 60)  # somebody published, and the wake-up was lost
        eventually(lambda: engine.wake_ups() == ["Echo"], what="the wake-up")


def test_a_stale_lane_is_woken_once_a_stale_time_not_every_sweep(client_id: int) -> None:
    engine.hand_in(client_id=client_id)
    let_wait(seconds=60)

    with override_settings(WAYBILL_STALE_WAKE=0.5), engine.running_worker():
        began = time.monotonic()
        eventually(lambda: len(engine.wake_ups()) >= 3, what="three wake-ups")
        took = time.monotonic() - began

    assert took > 0.9


def test_a_lane_that_was_woken_just_now_is_not_stale(client_id: int) -> None:
    engine.hand_in(client_id=client_id)

    with override_settings(WAYBILL_STALE_WAKE=60.0):
        assert recovery.find_waiting_lanes() == []


def test_a_paused_lane_is_not_woken(client_id: int) -> None:
    engine.hand_in(client_id=client_id)
    let_wait(seconds=60)
    Lane.objects.update(paused=True)

    assert recovery.find_waiting_lanes() == []


def test_a_lane_of_which_all_is_claimed_or_set_aside_is_not_woken(client_id: int) -> None:
    engine.hand_in(client_id=client_id)
    losses.claim("Echo")
    set_aside(engine.hand_in(client_id=client_id), for_seconds=60)
    let_wait(seconds=60)

    assert recovery.find_waiting_lanes() == []


def test_a_lane_where_only_a_suspect_waits_is_woken(client_id: int) -> None:
    engine.hand_in(client_id=client_id)
    losses.lose("Echo")
    let_wait(seconds=60)

    assert [lane.name for lane in recovery.find_waiting_lanes()] == ["Echo"]


def test_what_was_claimed_a_while_ago_is_not_looked_through_again(client_id: int) -> None:
    engine.hand_in(client_id=client_id)
    let_wait(seconds=60)
    turn = Message.objects.get().turn

    assert [lane.name for lane in recovery.find_waiting_lanes({"Echo": turn, "other": turn + 1})] == ["Echo"]
    assert recovery.find_waiting_lanes({"Echo": turn + 1}) == []


def test_a_suspect_is_seen_below_the_floor(client_id: int) -> None:
    engine.hand_in(client_id=client_id)
    losses.lose("Echo")
    let_wait(seconds=60)

    assert [lane.name for lane in recovery.find_waiting_lanes({"Echo": 1_000})] == ["Echo"]


def test_a_lost_wake_up_costs_delay_only(client_id: int, worker_process: Callable[..., WorkerProcess]) -> None:
    worker_process()

    request = engine.hand_in(client_id=client_id)  # and nobody is told

    eventually(lambda: engine.statuses_of(request) == [Status.COMPLETE], what="the sweep's wake-up")


# ---------------------------------------------------------------- together


def test_two_housekeepers_do_not_collide(client_id: int) -> None:
    """What one has locked, the other passes by."""
    late = engine.hand_in(client_id=client_id, payloads=[{}] * 5)
    set_aside(late, for_seconds=-1)
    overdue = engine.hand_in(client_id=client_id, message_type="Other")
    Request.objects.filter(pk=overdue.pk).update(deadline_at=Now() - timedelta(seconds=1))
    for _ in range(2):
        engine.hand_in(client_id=client_id, message_type="Lost")
        losses.claim("Lost")
    losses.let_leases_lapse()
    found: list[object] = []

    def second() -> None:
        found.append(recovery.release_due_retries())
        found.append(recovery.suspect_expired_claims())
        found.append(stopping.expire_overdue())

    with transaction.atomic(), connection.cursor() as first:
        first.execute("SELECT 1 FROM orchestrator_message WHERE request_id = %s LIMIT 4 FOR NO KEY UPDATE", [late.pk])
        first.execute("SELECT 1 FROM orchestrator_claim ORDER BY id LIMIT 1 FOR NO KEY UPDATE")
        first.execute("SELECT 1 FROM orchestrator_request WHERE id = %s FOR NO KEY UPDATE", [overdue.pk])
        with engine.at_once(second):
            pass

    assert found == [{"Echo"}, 1, 0]
    assert Message.objects.filter(request=late, available_at__isnull=True).count() == 1


def test_two_housekeepers_at_once_give_each_lost_claim_back_once(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id, payloads=[{}] * 30)
    for _ in range(15):
        losses.claim("Echo", limit=2)
    losses.let_leases_lapse()
    recovery.suspect_expired_claims()
    losses.let_a_heartbeat_pass()

    with engine.at_once(*[recovery.give_back_lost_claims] * 4):
        pass

    assert [message.losses for message in engine.messages_of(request)] == [1] * 30


def test_chores_have_a_statement_timeout_of_their_own(client_id: int) -> None:
    engine.hand_in(client_id=client_id)
    chores: list[Callable[[], object]] = [
        recovery.release_due_retries,
        recovery.suspect_expired_claims,
        recovery.give_back_lost_claims,
        recovery.forget_silent_workers,
        recovery.find_waiting_lanes,
        stopping.expire_overdue,
    ]

    for chore in chores:
        with engine.statements() as sent:
            chore()
        assert "statement_timeout" in sent[0][0], chore.__name__
    assert engine.ask("SHOW statement_timeout") == "1min"  # it ended with each chore's transaction


def test_sweeps_have_jitter(client_id: int) -> None:
    """Two processes that began together do not sweep together for long: the waits differ."""
    waits: list[float] = []

    class Watching(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            return super().wait(timeout)

    with engine.running_worker() as worker:
        worker.housekeeping._stop = Watching()
        eventually(lambda: len(waits) >= 5)

    assert len(set(waits)) == len(waits)
    assert all(0.05 <= wait <= 0.1 for wait in waits)  # WAYBILL_SWEEP


def test_a_slow_chore_does_not_cost_the_leases(
    client_id: int, declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every chore is preceded by a renewal, if one is due: two slow ones together would be longer than the lease."""
    monkeypatch.setattr(recovery, "_CHORE_TIMEOUT", "1s")
    held = engine.Held()
    lane = declare(held.plain).name
    engine.hand_in(client_id=client_id, message_type=lane)

    with engine.running_worker() as worker, engine.draining(worker, lane):
        assert held.began.wait(5)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE orchestrator_message IN ACCESS EXCLUSIVE MODE")  # two chores read it
            renewals: set[object] = set()
            while len(renewals) < 4:
                leased_until, holds = _lease()
                renewals.add(leased_until)
                assert holds
        held.release.set()


def _lease() -> tuple[object, bool]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT leased_until, leased_until > clock_timestamp() FROM orchestrator_claim")
        return tuple(cursor.fetchone())


# ---------------------------------------------------------------- the worker's own row


def test_a_worker_is_on_the_list_while_it_lives(client_id: int) -> None:
    with engine.running_worker() as worker:
        row = Worker.objects.get(pk=worker.identity.id)
        assert (row.host, row.pid, row.queues) == (socket.gethostname(), os.getpid(), ["waybill"])
        eventually(lambda: Worker.objects.get(pk=row.pk).heartbeat_at > row.heartbeat_at, what="a heartbeat")

    assert not Worker.objects.filter(pk=row.pk).exists()


def test_a_worker_that_is_long_silent_and_holds_nothing_is_forgotten(client_id: int) -> None:
    with engine.running_worker() as worker:
        silent = Worker.objects.create(id=engine.WORKER, host="gone", pid=1)
        Worker.objects.filter(pk=silent.pk).update(heartbeat_at=Now() - timedelta(hours=1))
        eventually(lambda: not Worker.objects.filter(pk=silent.pk).exists(), what="the forgetting")
        assert Worker.objects.filter(pk=worker.identity.id).exists()


# ---------------------------------------------------------------- the database away


def test_housekeeping_logs_instead_of_dying_when_the_database_is_away(
    client_id: int, caplog: pytest.LogCaptureFixture
) -> None:
    request = engine.hand_in(client_id=client_id)
    port = connection.settings_dict["PORT"]

    with engine.running_worker() as worker:
        connection.settings_dict["PORT"] = "1"  # nobody answers there
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            eventually(lambda: caplog.text.count("chore failed") >= 6, what="a whole sweep of failures")
        finally:
            connection.settings_dict["PORT"] = port
        set_aside(request, for_seconds=-1)
        eventually(lambda: not _set_aside(request), what="the first chore afterwards")
        assert Worker.objects.filter(pk=worker.identity.id).exists()


# ---------------------------------------------------------------- deaf


def test_an_idle_worker_that_no_wake_up_reaches_exits(
    client_id: int, worker_process: Callable[..., WorkerProcess]
) -> None:
    worker = worker_process(WAYBILL_DEAF_AFTER="1")
    order = {"queue": "waybill"}
    assert app.control.broadcast("cancel_consumer", arguments=order, reply=True, limit=1, timeout=5)  # alive, and deaf
    engine.hand_in(client_id=client_id)

    eventually(lambda: not worker.alive, what="the exit")

    assert worker.child.process.returncode == os.EX_TEMPFAIL
    assert "no wake-up reaches this process" in worker.output()


def test_a_worker_is_deaf_after_its_time_not_before(client_id: int, exits: list[int]) -> None:
    engine.hand_in(client_id=client_id)
    let_wait(seconds=60)

    with engine.running_worker(), override_settings(WAYBILL_DEAF_AFTER=0.6):
        began = time.monotonic()
        eventually(lambda: exits, what="the exit")
        took = time.monotonic() - began

    assert exits[0] == os.EX_TEMPFAIL
    assert took > 0.5


@pytest.fixture
def sweeping_deaf(exits: list[int]) -> Iterator[Callable[[], None]]:
    """A worker that no wake-up reaches; call it to let several times WAYBILL_DEAF_AFTER pass in its sweeps."""
    # Each sweep wakes and so asks the broker, as each of WAYBILL_DEAF_AFTER's thirty seconds has many that do.
    quick = override_settings(WAYBILL_DEAF_AFTER=0.3, WAYBILL_STALE_WAKE=0.01)
    with engine.running_worker() as worker, quick:

        def beats() -> float:
            return Worker.objects.get(pk=worker.identity.id).heartbeat_at.timestamp()

        def sweep_on() -> None:
            first = beats()
            eventually(lambda: beats() > first + 1.2, what="sweeps")  # the ledger's clock: four times over

        sweep_on.worker = worker  # type: ignore[attr-defined]
        yield sweep_on


def test_a_worker_that_sees_no_work_is_not_deaf(sweeping_deaf: Callable[[], None], exits: list[int]) -> None:
    sweeping_deaf()

    assert exits == []


def test_a_paused_lane_makes_nobody_deaf(client_id: int, sweeping_deaf: Callable[[], None], exits: list[int]) -> None:
    with transaction.atomic():
        engine.hand_in(client_id=client_id)
        let_wait(seconds=60)
        Lane.objects.update(paused=True)

    sweeping_deaf()

    assert exits == []


def test_work_on_other_queues_makes_nobody_deaf(
    client_id: int, sweeping_deaf: Callable[[], None], exits: list[int]
) -> None:
    with transaction.atomic():
        engine.hand_in(client_id=client_id)
        let_wait(seconds=60)
        Lane.objects.update(queue="elsewhere")

    sweeping_deaf()

    assert exits == []


def test_a_busy_worker_is_not_deaf(
    client_id: int, declare: Declare, sweeping_deaf: Callable[[], None], exits: list[int]
) -> None:
    held = engine.Held()
    lane = declare(held.plain).name
    engine.hand_in(client_id=client_id, message_type=lane)
    worker = sweeping_deaf.worker  # type: ignore[attr-defined]
    with engine.draining(worker, lane):
        assert held.began.wait(5)
        engine.hand_in(client_id=client_id)
        let_wait(seconds=60)
        sweeping_deaf()
        assert exits == []
        Message.objects.filter(lane="Echo").update(available_at=Now() + timedelta(hours=1))
        held.release.set()


def test_a_broker_that_does_not_answer_makes_nobody_deaf(
    client_id: int, sweeping_deaf: Callable[[], None], exits: list[int], broker_away: None
) -> None:
    engine.hand_in(client_id=client_id)
    let_wait(seconds=60)

    sweeping_deaf()

    assert exits == []


def test_a_wake_up_proves_that_a_worker_hears() -> None:
    with override_settings(WAYBILL_DEAF_AFTER=0.05):
        deafness = Deafness(queues=["waybill"])
        deafness.note_waiting(["waybill"])
        eventually(deafness.is_certain, what="certainty")

        deafness.note_wake_up()

        assert not deafness.is_certain()


def test_what_waits_for_others_proves_nothing() -> None:
    with override_settings(WAYBILL_DEAF_AFTER=0.0):
        deafness = Deafness(queues=["waybill"])
        deafness.note_waiting(["waybill"])
        assert deafness.is_certain()

        deafness.note_waiting(["another"])

        assert not deafness.is_certain()
