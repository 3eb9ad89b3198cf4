"""A back end's limits hold over all worker processes: calls in flight, calls a second."""

import functools
import time
from collections.abc import Callable

import pytest
from pytest_django.fixtures import Settings

from orchestrator import recovery, slots
from orchestrator.lifecycle import Status
from orchestrator.limits import Limits, read_rate, tightest
from orchestrator.models import Bucket, Message
from orchestrator.outcomes import Ending, flush
from orchestrator.processing import ended
from orchestrator.slots import Asked, Ration
from tests import engine, losses, service
from tests.processes import WorkerProcess
from tests.service import Service
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

LANE = "Parcel"


configure = functools.partial(service.configure, timeout_seconds=90.0)


def claim(limits: Limits, *, limit: int = 100, lane: str = LANE) -> Ration:
    return slots.claim(Asked(engine.WORKER, lane, limit), limits=limits)


def let_pass(seconds: float) -> None:
    """Let the bucket believe that time has passed."""
    engine.run("UPDATE orchestrator_bucket SET filled_at = filled_at - %s * interval '1 second'", seconds)


# ---------------------------------------------------------------- calls in flight


def test_a_claim_takes_as_many_messages_as_there_are_slots() -> None:
    engine.hand_in(client_id=1, message_type=LANE, payloads=[{}] * 30)
    limits = Limits(concurrency=10)

    first, second = claim(limits, limit=7), claim(limits)

    assert (len(first.batch.messages), first.ask_again) == (7, None)
    assert (len(second.batch.messages), second.for_slots) == (3, True)
    assert second.ask_again is not None


def test_without_slots_nothing_is_claimed_and_an_empty_lane_is_not_asked_about_again() -> None:
    engine.hand_in(client_id=1, message_type=LANE, payloads=[{}] * 4)
    limits = Limits(concurrency=4)

    claim(limits)

    assert claim(limits) == slots.NOTHING


def test_slots_come_back_with_the_outcomes() -> None:
    engine.hand_in(client_id=1, message_type=LANE, payloads=[{}] * 10)
    limits = Limits(concurrency=4)
    messages = claim(limits).batch.messages

    flush([ended(messages[0], Ending.COMPLETE, result="{}"), ended(messages[1], Ending.RETRY, delay=60.0)])

    assert len(claim(limits).batch.messages) == 2


def test_a_lost_worker_gives_its_slots_back() -> None:
    engine.hand_in(client_id=1, message_type=LANE, payloads=[{}] * 10)
    limits = Limits(concurrency=4)
    claim(limits)
    assert not claim(limits).batch.messages

    losses.let_leases_lapse()
    losses.recover()

    assert len(claim(limits).batch.messages) == 4


def test_processes_that_claim_at_the_same_moment_stay_within_the_slots() -> None:
    # The race: each counts the free slots before any other has claimed. Without the lock it is lost nearly always.
    engine.hand_in(client_id=1, message_type=LANE, payloads=[{}] * 200)
    limits = Limits(concurrency=20)
    claimed: list[int] = []

    def claim_some() -> None:
        claimed.extend(len(claim(limits, limit=9).batch.messages) for _ in range(5))

    with engine.at_once(*[claim_some] * 4):
        pass

    assert sum(claimed) == 20
    assert Message.objects.filter(status=Status.PROCESSING).count() == 20


def test_a_limited_lane_does_not_limit_another() -> None:
    engine.hand_in(client_id=1, message_type=LANE, payloads=[{}] * 5)
    engine.hand_in(client_id=1, message_type="Letter", payloads=[{}] * 5)
    limits = Limits(concurrency=5)
    claim(limits)

    assert len(claim(limits, lane="Letter").batch.messages) == 5


def test_a_lane_without_limits_claims_by_one_statement() -> None:
    engine.hand_in(client_id=1, message_type=LANE)

    with engine.statements() as sent:
        claim(Limits(breaker=20))

    assert len(sent) == 1
    assert not Bucket.objects.exists()


# ---------------------------------------------------------------- calls a second


def test_a_claim_takes_as_many_messages_as_there_are_tokens() -> None:
    engine.hand_in(client_id=1, message_type=LANE, payloads=[{}] * 50)
    limits = Limits(rate=0.01, burst=5)  # none comes while the test runs

    first, second = claim(limits), claim(limits)

    assert (len(first.batch.messages), len(second.batch.messages)) == (5, 0)
    assert second.ask_again == pytest.approx(250, rel=0.1)  # half a bucket's
    assert not second.for_slots


def test_tokens_come_with_time_and_no_more_than_the_bucket_holds() -> None:
    engine.hand_in(client_id=1, message_type=LANE, payloads=[{}] * 50)
    limits = Limits(rate=0.01, burst=5)  # none comes while the test runs
    claim(limits)

    let_pass(200.0)
    two = claim(limits)
    let_pass(100_000.0)
    five = claim(limits)

    assert (len(two.batch.messages), len(five.batch.messages)) == (2, 5)


def test_a_clock_that_is_set_back_takes_no_tokens_away() -> None:
    engine.hand_in(client_id=1, message_type=LANE, payloads=[{}] * 50)
    limits = Limits(rate=0.01, burst=5)
    claim(limits, limit=2)

    let_pass(-1000.0)

    assert len(claim(limits).batch.messages) == 3


def test_processes_that_claim_at_the_same_moment_share_the_tokens() -> None:
    engine.hand_in(client_id=1, message_type=LANE, payloads=[{}] * 200)
    limits = Limits(rate=0.01, burst=20)
    claimed: list[int] = []

    def claim_some() -> None:
        claimed.extend(len(claim(limits, limit=9).batch.messages) for _ in range(5))

    with engine.at_once(*[claim_some] * 4):
        pass

    assert sum(claimed) == 20


def test_a_lane_whose_rate_leaves_no_call_is_not_woken_until_there_is_one() -> None:
    engine.hand_in(client_id=1, message_type=LANE, payloads=[{}] * 50)
    claim(Limits(rate=0.01, burst=5))
    engine.run("UPDATE orchestrator_message SET received_at = now() - interval '1 hour'")
    assert recovery.find_waiting_lanes() == []

    engine.run("UPDATE orchestrator_bucket SET next_at = next_at - interval '100 seconds'")

    assert [lane.name for lane in recovery.find_waiting_lanes()] == [LANE]


@pytest.mark.parametrize(
    ("text", "rate"), [("10/s", 10), ("10", 10), ("2.5/s", 2.5), ("600/min", 10), ("36/h", 0.01), (" 60 / m ", 1)]
)
def test_a_rate_is_calls_a_second_a_minute_or_an_hour(text: str, rate: float) -> None:
    assert read_rate(text) == rate


@pytest.mark.parametrize("text", ["", "fast", "10/day", "-1/s", "1e3/s", "/s", "٣/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a rate is written"):
        read_rate(text)


def test_back_ends_that_share_a_lane_share_the_tightest_limits() -> None:
    one, other = Limits(concurrency=5, breaker=0), Limits(concurrency=9, rate=3.0, breaker=20)

    assert tightest([one, other]) == Limits(concurrency=5, rate=3.0, breaker=20)


# ---------------------------------------------------------------- worked off


def test_a_drain_keeps_the_slots_full_and_never_more(back_end: Service) -> None:
    back_end.seconds = 0.03
    name = configure(back_end, concurrency=4)
    request = engine.hand_in(client_id=1, message_type=name, payloads=[{}] * 40)

    with engine.running_worker(housekeeping=False) as worker:
        engine.work_off(worker, name)

    assert engine.counters_of(request) == {"complete": 40}
    assert back_end.most_at_once == 4


def test_a_drain_keeps_to_the_rate(back_end: Service) -> None:
    name = configure(back_end, rate=40.0, burst=4)
    request = engine.hand_in(client_id=1, message_type=name, payloads=[{}] * 60)

    with engine.running_worker(housekeeping=False) as worker:
        began = time.monotonic()
        engine.work_off(worker, name)

    assert engine.counters_of(request) == {"complete": 60}
    assert back_end.began[-1] - began >= (60 - 4) / 40 * 0.99


def test_a_drain_that_has_to_wait_for_slots_makes_room_for_other_lanes(back_end: Service) -> None:
    back_end.seconds = 1.0
    name = configure(back_end, concurrency=1)
    engine.hand_in(client_id=1, message_type=name, payloads=[{}] * 3)

    with engine.running_worker(housekeeping=False, concurrency=1) as worker:
        worker.drain(name)

        assert engine.wake_ups() == [name]


def test_five_hundred_slow_calls_are_in_flight_in_one_process(back_end: Service, settings: Settings) -> None:
    settings.WAYBILL_WINDOW_CALLS = 500
    name = configure(back_end)
    slow = engine.hand_in(client_id=1, message_type=name, payloads=[{"seconds": 60}] * 500)
    other = engine.hand_in(client_id=1)

    with engine.running_worker() as worker, engine.draining(worker, name):
        eventually(lambda: back_end.at_once == 500, within=40, what="500 calls at once")
        engine.work_off(worker, "Echo")
        assert engine.statuses_of(other) == [Status.COMPLETE]
        back_end.vanish()
        eventually(lambda: not worker._lanes[name]._calls.in_flight, what="the end of all calls")
        worker.begin_stop()

    assert engine.counters_of(slow) == {"open": 500}


def test_slow_calls_do_not_hold_the_places_of_fast_ones(back_end: Service, settings: Settings) -> None:
    settings.WAYBILL_WINDOW_CALLS = 20
    name = configure(back_end)
    slow = engine.hand_in(client_id=1, message_type=name, payloads=[{"seconds": 60}] * 19)
    fast = engine.hand_in(client_id=1, message_type=name, payloads=[{}] * 60)

    with engine.running_worker() as worker, engine.draining(worker, name):
        eventually(lambda: engine.counters_of(fast) == {"complete": 60}, within=40, what="the fast ones")
        assert back_end.at_once == 19
        assert engine.counters_of(slow) == {"open": 19}
        back_end.vanish()
        eventually(lambda: not worker._lanes[name]._calls.in_flight, what="the end of all calls")
        worker.begin_stop()


def test_two_processes_share_the_slots_and_the_loss_of_one_costs_none(
    back_end: Service, worker_process: Callable[..., WorkerProcess]
) -> None:
    name = configure(back_end, concurrency=6)
    back_end.seconds = 1.0
    request = engine.hand_in(client_id=1, message_type=name, payloads=[{}] * 30)
    workers = [worker_process(WAYBILL_LEASE="3"), worker_process(WAYBILL_LEASE="3")]
    eventually(lambda: back_end.most_at_once == 6, within=30, what="all slots in use")

    workers[0].kill()
    eventually(lambda: engine.counters_of(request) == {"complete": 30}, within=60, what="all complete")

    assert back_end.most_at_once == 6
    assert set(back_end.calls.values()) <= {1, 2}
    assert set(Message.objects.filter(request=request).values_list("attempts", flat=True)) == {1}
