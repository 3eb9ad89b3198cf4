"""A back end that is down: all worker processes know, its messages wait untouched, and it is tried one by one."""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from orchestrator import breakers, queue, recovery, stopping
from orchestrator.breakers import BreakerStatus, Probe, Sight
from orchestrator.lifecycle import Status
from orchestrator.models import Breaker, Lane, Message
from orchestrator.worker import WorkerProcess
from tests import engine, service
from tests.service import Service
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

LANE = "Parcel"


configure = functools.partial(service.configure, timeout_seconds=10.0, breaker=5)


def fail(times: int, *, lane: str = LANE, breaker: int = 5) -> breakers.Standing:
    return breakers.tell(lane, Sight(failures=times, last_failure="no connection"), breaker=breaker)


def answer(*, lane: str = LANE, **fields: Any) -> breakers.Standing:
    return breakers.tell(lane, Sight(answered=True, calls=1, seconds=0.5, **fields), breaker=5)


def state_of(lane: str = LANE) -> breakers.BreakerState:
    [state] = [state for state in breakers.states() if state.lane == lane]
    return state


def let_pass(seconds: float, *, lane: str = LANE) -> None:
    """Let the breaker believe that time has passed."""
    engine.run(
        "UPDATE orchestrator_breaker SET probe_at = probe_at - %s * interval '1 second',"
        " probing_until = probing_until - %s * interval '1 second', held_until = held_until - %s * interval '1 second'"
        " WHERE lane = %s",
        *[seconds] * 3,
        lane,
    )


def has_broken(lane: str) -> bool:
    return any(state.lane == lane and state.broken for state in breakers.states())


# ---------------------------------------------------------------- down, and up again


def test_a_back_end_that_is_down_for_a_while_costs_its_messages_time_and_nothing_else(
    back_end: Service, worker_process: Callable[..., Any]
) -> None:
    name, quick = configure(back_end), configure(back_end)
    back_end.vanish()
    workers = [worker_process(), worker_process()]
    down = engine.hand_in(client_id=1, message_type=name, payloads=[{}] * 60)
    eventually(lambda: has_broken(name), within=30, what="an open breaker")

    other = engine.hand_in(client_id=1, payloads=[{}] * 5)
    cancelled = engine.hand_in(client_id=1, message_type=name, payloads=[{}] * 5)
    stopping.cancel(client_id=1, request_id=cancelled.pk)
    overdue = engine.hand_in(client_id=1, message_type=name)
    engine.run("UPDATE orchestrator_request SET deadline_at = now() WHERE id = %s", overdue.pk)

    eventually(lambda: engine.statuses_of(other) == [Status.COMPLETE] * 5, within=30, what="another type, not held up")
    eventually(lambda: engine.statuses_of(overdue) == [Status.CANCELLED], within=30, what="a deadline that passed")
    assert engine.statuses_of(cancelled) == [Status.CANCELLED] * 5
    eventually(lambda: state_of(name).probes >= 2, within=30, what="two probes")
    workers[0].kill()
    back_end.start()
    eventually(lambda: engine.counters_of(down) == {"complete": 60}, within=60, what="all complete")

    eventually(lambda: not has_broken(name), within=30, what="a closed breaker")
    attempts = [message.attempts for message in engine.messages_of(down)]
    assert max(attempts) <= 3  # what failed before the fifth failure in a row was known to all, and may have again
    assert sum(attempts) <= 60 + 2 * 2 * 5
    assert not has_broken(quick)


def test_a_back_end_that_answers_503_is_probed_by_single_messages(back_end: Service, settings: Settings) -> None:
    settings.WAYBILL_WINDOW_CALLS = 10
    back_end.status = 503
    name = configure(back_end, attempts=3)
    request = engine.hand_in(client_id=1, message_type=name, payloads=[{}] * 40)

    with consuming_worker() as worker:
        eventually(lambda: has_broken(name), within=30, what="an open breaker")
        before = len(back_end.began)
        eventually(lambda: state_of(name).probes >= 4, within=30, what="four probes")
        assert len(back_end.began) - before <= 10 + 6  # those in flight when it opened, and the probes
        assert max(message.attempts for message in engine.messages_of(request)) <= 1
        back_end.status = 200
        eventually(lambda: engine.counters_of(request) == {"complete": 40}, within=30, what="all complete")
        assert not worker.stopping.is_set()

    assert max(message.attempts for message in engine.messages_of(request)) <= 2
    assert state_of(name).status is BreakerStatus.CLOSED


def test_one_message_that_fails_whatever_happens_does_not_keep_the_breaker_open(back_end: Service) -> None:
    back_end.status = 503
    name = configure(back_end, attempts=2)
    bad = engine.hand_in(client_id=1, message_type=name, payloads=[{"status": 503}])
    good = engine.hand_in(client_id=1, message_type=name, payloads=[{}] * 20)

    with consuming_worker():
        eventually(lambda: has_broken(name), within=30, what="an open breaker")
        back_end.status = 200
        eventually(lambda: engine.counters_of(good) == {"complete": 20}, within=30, what="the good ones")
        eventually(lambda: engine.counters_of(bad) == {"failed": 1}, within=30, what="the end of the bad one")


@contextmanager
def consuming_worker() -> Iterator[WorkerProcess]:
    """A worker's parts in this process, with a consumer of its wake-ups."""
    over = threading.Event()
    with engine.running_worker() as worker, engine.at_once(lambda: consume(worker, over)):
        try:
            yield worker
        finally:
            over.set()
            worker.begin_stop()


def consume(worker: WorkerProcess, over: threading.Event) -> None:
    """Drain the lanes that are woken, one after the other."""
    seen = 0
    while not over.wait(0.01):
        lanes = engine.wake_ups()
        for lane in lanes[seen:]:
            worker.drain(lane)
        seen = len(lanes)


# ---------------------------------------------------------------- what opens it


def test_failures_in_a_row_open_the_breaker_whichever_process_saw_them() -> None:
    assert not fail(2).broken
    assert not fail(2).broken
    assert fail(1).broken

    state = state_of()
    assert (state.status, state.failures, state.last_failure) == (BreakerStatus.OPEN, 5, "no connection")
    assert state.since is not None
    assert state.probe_at is not None


def test_an_answer_between_them_keeps_it_closed() -> None:
    fail(4)
    answer()
    assert not fail(4).broken
    answer(failures=2)
    assert state_of().failures == 2


def test_without_a_number_no_failures_open_it() -> None:
    assert not fail(1000, breaker=0).broken


def test_sights_told_at_the_same_moment_are_added_up() -> None:
    def tell_some() -> None:
        for _ in range(20):
            fail(1, breaker=10_000)

    with engine.at_once(*[tell_some] * 4):
        pass

    assert state_of().failures == 80


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_that_finds_no_service_counts_as_down(back_end: Service, status: int) -> None:
    back_end.status = status
    name = configure(back_end, attempts=1)
    engine.hand_in(client_id=1, message_type=name, payloads=[{}] * 5)

    assert failures_after_work(name) == 5


@pytest.mark.parametrize("status", [400, 404, 408, 425, 429, 500, 501])
def test_other_errors_are_answers(back_end: Service, status: int) -> None:
    back_end.status = status
    name = configure(back_end, attempts=1)
    engine.hand_in(client_id=1, message_type=name, payloads=[{}] * 5)

    assert failures_after_work(name) == 0


def test_no_answer_in_time_counts_as_down(back_end: Service) -> None:
    back_end.seconds = 10.0
    name = configure(back_end, attempts=1, timeout_seconds=0.1)
    engine.hand_in(client_id=1, message_type=name, payloads=[{}] * 5)

    assert failures_after_work(name) == 5


def failures_after_work(lane: str) -> int:
    with engine.running_worker(housekeeping=False) as worker:
        engine.work_off(worker, lane)
        worker._lanes[lane].tell(everything=True)
    return state_of(lane).failures


def test_calls_are_counted_and_timed(back_end: Service) -> None:
    back_end.seconds = 0.1
    name = configure(back_end)
    engine.hand_in(client_id=1, message_type=name, payloads=[{}] * 5)

    failures_after_work(name)

    state = state_of(name)
    assert state.calls == 5
    assert state.seconds >= 0.5
    assert state.recent_seconds == pytest.approx(state.seconds / 5)
    assert state.last_answer_at is not None
    assert (state.last_failure_at, state.last_failure) == (None, None)


# ---------------------------------------------------------------- while it is open


def test_messages_wait_untouched_and_unclaimed() -> None:
    request = engine.hand_in(client_id=1, message_type=LANE, payloads=[{}] * 3)
    fail(5)

    assert not engine.claim(LANE).messages
    assert engine.statuses_of(request) == [Status.QUEUED] * 3


def test_a_message_claimed_before_it_opened_goes_back_untouched(back_end: Service) -> None:
    back_end.vanish()
    name = configure(back_end, attempts=1)
    request = engine.hand_in(client_id=1, message_type=name, payloads=[{}] * 50)

    with engine.running_worker(housekeeping=False) as worker:
        engine.work_off(worker, name)

    messages = engine.messages_of(request)
    failed = [message for message in messages if message.status == Status.FAILED]
    waiting = [message for message in messages if message.status == Status.QUEUED]
    assert len(failed) == 4  # the fifth opened it
    assert len(waiting) == 46
    assert {(message.attempts, message.losses, message.available_at) for message in waiting} == {(0, 0, None)}


def test_other_lanes_are_claimed_as_ever() -> None:
    engine.hand_in(client_id=1)
    fail(5)

    assert len(engine.claim("Echo").messages) == 1


def test_its_lane_is_not_woken_until_the_next_probe_is_due() -> None:
    engine.hand_in(client_id=1, message_type=LANE)
    engine.run("UPDATE orchestrator_message SET received_at = now() - interval '1 hour'")
    assert [lane.name for lane in recovery.find_waiting_lanes()] == [LANE]

    fail(5)
    assert recovery.find_waiting_lanes() == []

    let_pass(60)
    assert [lane.name for lane in recovery.find_waiting_lanes()] == [LANE]

    assert breakers.take_probe(LANE, seconds=30)
    assert recovery.find_waiting_lanes() == []


def test_without_its_row_a_breaker_is_closed() -> None:
    engine.hand_in(client_id=1, message_type=LANE)
    fail(5)

    Breaker.objects.all().delete()

    assert len(engine.claim(LANE).messages) == 1
    assert not fail(1).broken


def test_a_pause_holds_a_probe_back_too() -> None:
    engine.hand_in(client_id=1, message_type=LANE)
    Lane.objects.update(paused=True)

    assert not engine.claim(LANE, probing=True).messages


# ---------------------------------------------------------------- probes


def test_a_probe_is_due_after_a_while_and_only_one_process_gets_it() -> None:
    # The race: every worker sees that the probe is due. The first takes the row; the others wait for it and look again.
    fail(5)
    assert not breakers.take_probe(LANE, seconds=30)
    let_pass(60)
    got: list[bool] = []

    with engine.at_once(*[lambda: got.append(breakers.take_probe(LANE, seconds=30))] * 6):
        pass

    assert sorted(got) == [False] * 5 + [True]
    assert state_of().status is BreakerStatus.HALF_OPEN


def test_a_probe_that_fails_is_followed_by_another_each_later_than_the_one_before(settings: Settings) -> None:
    settings.WAYBILL_PROBE_FIRST, settings.WAYBILL_PROBE_CEILING = 1.0, 30.0
    fail(5)
    waits = []
    for _ in range(8):
        let_pass(60)
        assert breakers.take_probe(LANE, seconds=30)
        assert breakers.tell(LANE, Sight(failures=1, probe=Probe.FAILED), breaker=5).broken
        waits.append(engine.ask("SELECT extract(epoch FROM probe_at - now())::float8 FROM orchestrator_breaker"))

    assert all(0.7 * 2**n <= wait <= 2**n for n, wait in enumerate(waits[:4], start=1))
    assert all(20 <= wait <= 30 for wait in waits[5:])
    assert state_of().probes == 8


def test_a_probe_that_is_answered_closes_the_breaker() -> None:
    engine.hand_in(client_id=1, message_type=LANE)
    fail(5)
    let_pass(60)
    breakers.take_probe(LANE, seconds=30)

    assert not answer(probe=Probe.ANSWERED).broken

    assert (state_of().status, state_of().failures, state_of().since) == (BreakerStatus.CLOSED, 0, None)
    assert len(engine.claim(LANE).messages) == 1


def test_an_answer_to_a_call_from_before_closes_nothing() -> None:
    fail(5)

    assert answer().broken


def test_a_probe_without_a_message_leaves_the_next_one_to_others() -> None:
    fail(5)
    let_pass(60)
    breakers.take_probe(LANE, seconds=30)

    breakers.tell(LANE, Sight(probe=Probe.VOID), breaker=5)

    assert state_of().status is BreakerStatus.OPEN
    assert breakers.take_probe(LANE, seconds=30)


def test_a_probe_that_was_lost_with_its_process_runs_out() -> None:
    fail(5)
    let_pass(60)
    breakers.take_probe(LANE, seconds=30)
    assert not breakers.take_probe(LANE, seconds=30)

    let_pass(60)

    assert breakers.take_probe(LANE, seconds=30)


def test_a_message_whose_request_was_stopped_is_no_probe(back_end: Service) -> None:
    name = configure(back_end)
    request = engine.hand_in(client_id=1, message_type=name)
    fail(5, lane=name)
    let_pass(60, lane=name)
    engine.run("UPDATE orchestrator_request SET deadline_at = now() WHERE id = %s", request.pk)

    with engine.running_worker(housekeeping=False) as worker:
        engine.work_off(worker, name)
        worker._lanes[name].tell(everything=True)

    assert not back_end.began
    assert engine.statuses_of(request) == [Status.CANCELLED]
    assert state_of(name).status is BreakerStatus.OPEN


def test_a_breaker_that_is_taken_away_while_it_is_open_holds_nothing_back(back_end: Service) -> None:
    name = configure(back_end, breaker=0)
    request = engine.hand_in(client_id=1, message_type=name, payloads=[{}] * 3)
    fail(5, lane=name)

    with engine.running_worker(housekeeping=False) as worker:
        engine.work_off(worker, name)

    assert engine.counters_of(request) == {"complete": 3}


# ---------------------------------------------------------------- 429


def test_a_back_end_that_asks_to_wait_holds_the_whole_lane_for_a_moment(back_end: Service, settings: Settings) -> None:
    settings.WAYBILL_HOLD_CEILING = 5.0
    back_end.status, back_end.headers = 429, "Retry-After: 3600\r\n"
    name = configure(back_end)
    engine.hand_in(client_id=1, message_type=name)
    failures_after_work(name)
    engine.hand_in(client_id=1, message_type=name)

    assert not engine.claim(name).messages
    state = state_of(name)
    assert (state.status, state.failures) == (BreakerStatus.HELD, 0)

    let_pass(6, lane=name)

    assert len(engine.claim(name).messages) == 1
    assert state_of(name).status is BreakerStatus.CLOSED


def test_a_wish_to_wait_of_another_status_is_the_messages_own(back_end: Service) -> None:
    back_end.status, back_end.headers = 500, "Retry-After: 3600\r\n"
    name = configure(back_end)
    engine.hand_in(client_id=1, message_type=name)
    failures_after_work(name)
    engine.hand_in(client_id=1, message_type=name)

    assert len(engine.claim(name).messages) == 1


def test_a_paused_lane_with_suspects_gives_nothing_and_asks_for_no_further_claim() -> None:
    engine.hand_in(client_id=1, message_type=LANE)
    Message.objects.update(suspect=True)
    assert engine.claim(LANE).suspects_wait
    Lane.objects.update(paused=True)

    batch = queue.claim(worker_id=engine.WORKER, lane=LANE, limit=10)

    assert (batch.messages, batch.suspects_wait) == ([], False)
