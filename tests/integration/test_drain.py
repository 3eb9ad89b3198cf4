"""A drain: what it claims, when it claims again, how it ends."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from pytest_django.fixtures import Settings

from orchestrator import dispatch, turns
from orchestrator.floors import Floor
from orchestrator.handlers import Kind, MessageType, Work
from orchestrator.lifecycle import Status
from orchestrator.models import Claim, Lane, Message
from tests import engine, factories
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

Declare = Callable[..., MessageType]


class Blocking:
    """An async handler whose calls stay in flight until the test lets some of them go."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self.may_end = 0

    async def __call__(self, work: Work) -> None:
        self.begun += 1
        while self.ended >= self.may_end:  # noqa: ASYNC110 - the test lives in another thread
            await asyncio.sleep(0.002)
        self.ended += 1

    def let_go(self, calls: int) -> None:
        self.may_end += calls
        eventually(lambda: self.ended == self.may_end, what=f"the end of {calls} calls")

    def let_all_go(self) -> None:
        self.may_end = 10**9


def test_a_drain_carries_out_what_waits() -> None:
    client = factories.make_client()
    request = engine.hand_in(client_id=client.pk, payloads=[{"n": n} for n in range(700)])

    with engine.running_worker() as worker:
        worker.drain("Echo")
        worker.recorder.wait_until_empty(timeout=5)

    request.refresh_from_db()
    assert set(engine.statuses_of(request)) == {Status.COMPLETE}
    assert (request.total, request.open, request.complete) == (700, 0, 700)
    assert [message.result for message in engine.messages_of(request)] == [f'{{"n":{n}}}' for n in range(700)]
    assert request.completed_at == max(message.processed_at for message in engine.messages_of(request))
    assert not Claim.objects.exists()


def test_a_drain_of_an_empty_lane_ends_at_once() -> None:
    with engine.running_worker(housekeeping=False) as worker:
        worker.drain("Nothing")

        assert engine.wake_ups() == []


# ---------------------------------------------------------------- the window


def test_a_window_of_messages_is_kept_in_flight_and_refilled_when_it_falls_below_half(
    declare: Declare, settings: Settings
) -> None:
    settings.WAYBILL_WINDOW_CALLS = 10
    settings.WAYBILL_SLICE = 60.0
    settings.WAYBILL_FLUSH_AFTER = 60.0  # so long may calls that end soon after each other be waited for
    handler = Blocking()
    known = declare(handler, kind=Kind.ASYNC)
    engine.hand_in(client_id=1, message_type=known.name, payloads=[{}] * 30)

    with engine.running_worker(housekeeping=False) as worker, engine.draining(worker, known.name):
        eventually(lambda: handler.begun == 10, what="a full window")
        handler.let_go(4)  # six in flight: more than half
        stays(lambda: handler.begun, 10)
        handler.let_go(1)  # five
        eventually(lambda: handler.begun == 15, what="a refilled window")
        stays(lambda: handler.begun, 15)
        handler.let_all_go()
        eventually(lambda: handler.ended == 30, what="the rest")


def stays(look: Callable[[], int], value: int, *, for_seconds: float = 0.3) -> None:
    """Fail when a value changes within some time: longer than a slice of the tests."""
    until = time.monotonic() + for_seconds
    while time.monotonic() < until:
        assert look() == value
        time.sleep(0.01)


def test_the_window_is_the_processes_and_outlives_the_drain(declare: Declare, settings: Settings) -> None:
    settings.WAYBILL_WINDOW_CALLS = 10
    handler = Blocking()
    known = declare(handler, kind=Kind.ASYNC)
    engine.hand_in(client_id=1, message_type=known.name, payloads=[{}] * 30)

    with engine.running_worker(housekeeping=False, concurrency=1) as worker:
        for _ in range(3):
            worker.drain(known.name)
            eventually(lambda: handler.begun >= 10, what="a full window")
            assert handler.begun == 10
        handler.let_all_go()


def test_slow_calls_in_most_of_the_window_do_not_keep_the_places_of_fast_ones_empty(
    declare: Declare, settings: Settings
) -> None:
    settings.WAYBILL_WINDOW_CALLS = 10
    settings.WAYBILL_SLICE = 60.0
    handler = Blocking()
    known = declare(handler, kind=Kind.ASYNC)
    engine.hand_in(client_id=1, message_type=known.name, payloads=[{}] * 30)

    with engine.running_worker(housekeeping=False) as worker, engine.draining(worker, known.name):
        eventually(lambda: handler.begun == 10, what="a full window")
        handler.let_go(2)
        eventually(lambda: handler.begun == 12, within=2, what="a window full again")
        stays(lambda: handler.begun, 12)
        handler.let_all_go()


def test_a_wake_up_is_served_at_once_while_there_is_room_in_the_window(declare: Declare, settings: Settings) -> None:
    settings.WAYBILL_WINDOW_CALLS = 10
    handler = Blocking()
    known = declare(handler, kind=Kind.ASYNC)

    with engine.running_worker(housekeeping=False) as worker:
        for handed_in in range(1, 10):  # also when more than half of the window is in flight
            engine.hand_in(client_id=1, message_type=known.name)
            worker.drain(known.name)
            eventually(lambda expected=handed_in: handler.begun == expected, within=2, what="the new message")
        handler.let_all_go()


# ---------------------------------------------------------------- the slice


def test_a_drain_stops_after_its_slice_when_other_lanes_wait_and_wakes_again(
    declare: Declare, settings: Settings
) -> None:
    settings.WAYBILL_SLICE = 0.1
    known = declare(lambda work: time.sleep(0.005))
    request = engine.hand_in(client_id=1, message_type=known.name, payloads=[{}] * 200)

    with engine.running_worker(housekeeping=False, concurrency=1) as worker:  # its only thread is this one
        worker.drain(known.name)
        assert worker.recorder.wait_until_empty(timeout=5)

    open_now = engine.counters_of(request)["open"]
    assert 0 < open_now < 200
    assert engine.wake_ups() == [known.name]


def test_a_drain_goes_on_after_its_slice_while_threads_are_free(declare: Declare, settings: Settings) -> None:
    settings.WAYBILL_SLICE = 0.1
    known = declare(lambda work: time.sleep(0.005))
    request = engine.hand_in(client_id=1, message_type=known.name, payloads=[{}] * 100)

    with engine.running_worker(housekeeping=False, concurrency=2) as worker:
        worker.drain(known.name)
        assert worker.recorder.wait_until_empty(timeout=5)

    assert engine.counters_of(request) == {"complete": 100}


def test_a_drain_that_ends_its_slice_leaves_its_calls_to_the_loop_and_returns(
    declare: Declare, settings: Settings
) -> None:
    settings.WAYBILL_WINDOW_CALLS = 10
    handler = Blocking()
    known = declare(handler, kind=Kind.ASYNC)
    request = engine.hand_in(client_id=1, message_type=known.name, payloads=[{}] * 20)

    with engine.running_worker(housekeeping=False, concurrency=1) as worker:
        worker.drain(known.name)

        assert (handler.begun, handler.ended) == (10, 0)
        assert engine.wake_ups() == [known.name]
        handler.let_go(10)
        eventually(lambda: engine.counters_of(request) == {"open": 10, "complete": 10}, what="their outcomes")
        handler.let_all_go()


def test_a_claim_of_slow_messages_brings_no_more_than_fit_into_a_slice(declare: Declare, settings: Settings) -> None:
    """Or a batch would hold back idle workers, and another client's single message, for minutes."""
    settings.WAYBILL_SLICE = 0.2
    known = declare(lambda work: time.sleep(0.01))
    engine.hand_in(client_id=1, message_type=known.name, payloads=[{}] * 120)

    with engine.statements() as sent, engine.running_worker(housekeeping=False) as worker:
        worker.drain(known.name)

    limits = [params["limit"] for params in claims(sent)]
    assert limits[0] == 50
    assert all(limit <= 20 for limit in limits[1:])


# ---------------------------------------------------------------- more wake-ups


def test_a_full_claim_publishes_one_more_wake_up_per_drain_so_that_idle_workers_join() -> None:
    engine.hand_in(client_id=1, payloads=[{}] * 2_000)

    with engine.running_worker(housekeeping=False) as worker:
        worker.drain("Echo")
        woken = engine.wake_ups()  # before the stop, which wakes the lane if the flag has fallen by itself

    assert woken == ["Echo"]


def test_a_claim_that_was_not_full_publishes_none() -> None:
    engine.hand_in(client_id=1, payloads=[{}] * 10)

    with engine.running_worker(housekeeping=False) as worker:
        worker.drain("Echo")

        assert engine.wake_ups() == []


def test_the_further_wake_up_goes_through_the_flag(declare: Declare) -> None:
    woken = []

    def wake_once(work: Work) -> None:
        if not woken:
            woken.append(cache.get(f"wake:{known.name}"))

    known = declare(wake_once)
    engine.hand_in(client_id=1, message_type=known.name, payloads=[{}] * 100)

    with engine.running_worker(housekeeping=False) as worker:
        worker.drain(known.name)

    assert woken == [1]


# ---------------------------------------------------------------- one drain a lane


def test_at_most_one_drain_a_lane_runs_in_a_process(declare: Declare) -> None:
    running: list[int] = []
    most: list[int] = []

    def count(work: Work) -> None:
        running.append(1)
        most.append(len(running))
        time.sleep(0.002)
        running.pop()

    known = declare(count)
    engine.hand_in(client_id=1, message_type=known.name, payloads=[{}] * 100)

    with engine.running_worker(housekeeping=False) as worker, engine.at_once(*[lambda: worker.drain(known.name)] * 4):
        pass

    assert len(most) == 100
    assert max(most) == 1


def test_lanes_are_drained_beside_each_other(declare: Declare) -> None:
    meeting = threading.Barrier(2)
    one, two = (declare(lambda work: meeting.wait(timeout=5) and None) for _ in range(2))
    requests = [engine.hand_in(client_id=1, message_type=known.name) for known in (one, two)]

    with (
        engine.running_worker(housekeeping=False) as worker,
        engine.at_once(lambda: worker.drain(one.name), lambda: worker.drain(two.name)),
    ):
        pass

    assert [engine.counters_of(request) for request in requests] == [{"complete": 1}] * 2


def test_a_wake_up_that_meets_the_running_drain_is_not_lost(declare: Declare) -> None:
    """The drain has made its last claim and found little; then a message is committed, and its wake-up comes here."""
    begun, may_end = threading.Event(), threading.Event()

    def carry_out(work: Work) -> None:
        begun.set()
        assert may_end.wait(timeout=10)

    known = declare(carry_out)
    first = engine.hand_in(client_id=1, message_type=known.name)

    with engine.running_worker(housekeeping=False) as worker:
        with engine.draining(worker, known.name):
            assert begun.wait(timeout=10)
            second = engine.hand_in(client_id=1, message_type=known.name)
            worker.drain(known.name)  # returns at once: it is noted
            assert engine.statuses_of(second) == [Status.QUEUED]
            may_end.set()
        assert worker.recorder.wait_until_empty(timeout=5)

    assert engine.counters_of(first) == engine.counters_of(second) == {"complete": 1}


def test_no_wake_up_is_lost_however_it_meets_the_running_drain() -> None:
    """The race itself: whatever is committed before its wake-up comes is carried out, without any sweep."""
    turns.open_lanes(["Echo"])

    with engine.running_worker(housekeeping=False) as worker:

        def hand_in_and_drain() -> None:
            for _ in range(40):
                engine.hand_in(client_id=1)
                worker.drain("Echo")

        with engine.at_once(*[hand_in_and_drain] * 4):
            pass
        assert worker.recorder.wait_until_empty(timeout=10)

    assert Message.objects.filter(status=Status.COMPLETE).count() == 160
    assert not Message.objects.exclude(status=Status.COMPLETE).exists()


def test_no_commit_slips_between_the_flag_and_the_claim() -> None:
    """The same through the flag: who finds it raised publishes nothing, and relies on the drain that is on its way."""
    turns.open_lanes(["Echo"])
    handed_in = threading.Event()

    with engine.running_worker(housekeeping=False) as worker:

        def hand_in_and_wake() -> None:
            for _ in range(60):
                engine.hand_in(client_id=1)
                dispatch.wake("Echo")

        def consume() -> None:
            while not handed_in.is_set() or engine.wake_ups():
                if take_wake_up():
                    worker.drain("Echo")

        with engine.at_once(consume):
            with engine.at_once(*[hand_in_and_wake] * 2):
                pass
            handed_in.set()
        assert worker.recorder.wait_until_empty(timeout=10)

    assert Message.objects.filter(status=Status.COMPLETE).count() == 120


def take_wake_up() -> bool:
    """Take a wake-up off the broker, as a worker's consumer does."""
    with engine.broker() as client:
        return client.rpop("waybill") is not None


# ---------------------------------------------------------------- the floor


def claims(sent: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    return [params for sql, params in sent if "SKIP LOCKED" in sql]


def test_a_drains_floor_is_its_own_last_turn() -> None:
    engine.hand_in(client_id=1, payloads=[{}] * 120)

    with engine.statements() as sent, engine.running_worker(housekeeping=False) as worker:
        worker.drain("Echo")

    assert [(params["floor"], params["limit"]) for params in claims(sent)] == [(0, 50), (50, 200)]


def test_the_first_claim_of_a_drain_goes_without_a_floor() -> None:
    with engine.statements() as sent, engine.running_worker(housekeeping=False) as worker:
        for _ in range(2):
            engine.hand_in(client_id=1, payloads=[{}] * 60)
            sent.clear()
            worker.drain("Echo")
            assert claims(sent)[0]["floor"] == 0


def test_the_claim_after_a_wake_up_met_the_running_drain_goes_without_a_floor(declare: Declare) -> None:
    def drain_in_between(work: Work) -> None:
        if work.fields()["n"] == 30:
            worker.drain(known.name)  # as another thread of the pool would

    known = declare(drain_in_between)
    engine.hand_in(client_id=1, message_type=known.name, payloads=[{"n": n} for n in range(150)])

    with engine.statements() as sent, engine.running_worker(housekeeping=False) as worker:
        worker.drain(known.name)

    assert [params["floor"] for params in claims(sent)][:2] == [0, 0]


def test_the_claim_after_a_short_one_goes_without_a_floor(declare: Declare) -> None:
    """A short claim ends the drain, unless a wake-up or a suspect keeps it going."""

    def drain_in_between(work: Work) -> None:
        if work.fields()["n"] == 59:
            worker.drain(known.name)

    known = declare(drain_in_between)
    engine.hand_in(client_id=1, message_type=known.name, payloads=[{"n": n} for n in range(60)])

    with engine.statements() as sent, engine.running_worker(housekeeping=False) as worker:
        worker.drain(known.name)

    assert [params["floor"] for params in claims(sent)] == [0, 50, 0]


def test_where_looking_at_everything_is_slow_the_first_claim_begins_at_what_was_claimed_a_while_ago() -> None:
    with engine.statements() as sent, engine.running_worker(housekeeping=False) as worker:
        engine.hand_in(client_id=1, payloads=[{}] * 60)
        worker.drain("Echo")
        [drain] = worker.drains()
        drain._claims.floor = floor = Floor()
        floor.note(60, now=time.monotonic() - 60)
        floor.looked(seconds=1.0)
        engine.hand_in(client_id=2)
        sent.clear()

        worker.drain("Echo")

    assert claims(sent)[0]["floor"] == 60
    assert Message.objects.filter(status=Status.COMPLETE).count() == 61


def test_a_message_whose_turn_was_allocated_early_and_committed_late_is_carried_out() -> None:
    base = turns.allocate(client_id=2, counts={"Echo": 1})["Echo"]
    engine.hand_in(client_id=1, payloads=[{}] * 700)

    with engine.running_worker(housekeeping=False) as worker:
        worker.drain("Echo")
        late = engine.hand_in(client_id=2)
        Message.objects.filter(request=late).update(turn=base.turn(rank=1))
        worker.drain("Echo")
        assert worker.recorder.wait_until_empty(timeout=5)

    assert Lane.objects.get(pk="Echo").clock == 700
    assert engine.counters_of(late) == {"complete": 1}


# ---------------------------------------------------------------- what a worker doesn't know


def test_a_type_that_this_worker_does_not_know_is_given_back_untouched() -> None:
    request = engine.hand_in(client_id=1, message_type="OfTheNextRelease")

    with engine.running_worker(housekeeping=False) as worker:
        worker.drain("OfTheNextRelease")
        assert worker.recorder.wait_until_empty(timeout=5)

    [message] = engine.messages_of(request)
    assert (message.status, message.attempts, message.losses) == (Status.QUEUED, 0, 0)
    assert message.available_at  # not at once: this worker would take it again
    assert not Claim.objects.exists()


def test_a_drain_needs_no_session_state_of_its_connection() -> None:
    """PgBouncer in transaction mode works: whatever a transaction sets ends with it."""
    engine.hand_in(client_id=1, payloads=[{}] * 10)
    connection.close()
    before = session_state()

    with engine.running_worker(housekeeping=False) as worker:
        worker.drain("Echo")
        assert worker.recorder.wait_until_empty(timeout=5)

    assert session_state() == before
    assert engine.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


def session_state() -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE source = 'session' ORDER BY name")
        return list(cursor.fetchall())
