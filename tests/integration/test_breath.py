"""While messages come thick and fast a drain rests before it claims; where they come singly it never does."""

import time

import pytest
from django.core.cache import cache
from pytest_django.fixtures import Settings

from orchestrator import dispatch
from orchestrator.breath import Breath
from orchestrator.lifecycle import Status
from tests import engine
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

LONG = 30.0
"""A rest of so many seconds fails the test that waits for its end."""


def test_single_messages_that_come_and_go_are_not_kept_waiting(settings: Settings) -> None:
    settings.WAYBILL_BREATH = LONG

    with engine.running_worker(housekeeping=False) as worker:
        for _ in range(5):
            request = engine.hand_in(client_id=1)
            worker.drain("Echo")
            eventually(lambda of=request: engine.statuses_of(of) == [Status.COMPLETE], within=5, what="the result")  # type: ignore[misc]


def test_what_is_committed_during_the_rest_wakes_nobody_and_is_claimed_after_it(settings: Settings) -> None:
    settings.WAYBILL_BREATH = 0.5
    settings.WAYBILL_WAKE_FLAG = 60
    engine.hand_in(client_id=1, payloads=[{}] * 3)

    with engine.running_worker(housekeeping=False) as worker:
        worker.drain("Echo")  # finds several: the lane is busy
        dispatch.wake("Echo")
        with engine.draining(worker, "Echo"):
            requests = []
            for _ in range(4):
                assert cache.get("wake:Echo")  # the drain rests, and the flag is up
                requests.append(engine.hand_in(client_id=1))
                dispatch.wake("Echo")
        for request in requests:
            eventually(lambda of=request: engine.statuses_of(of) == [Status.COMPLETE], what="the result")  # type: ignore[misc]
        assert engine.wake_ups() == ["Echo"]
        assert cache.get("wake:Echo") is None


def test_a_stop_ends_the_rest(settings: Settings) -> None:
    settings.WAYBILL_BREATH = LONG
    engine.hand_in(client_id=1, payloads=[{}] * 3)

    with engine.running_worker(housekeeping=False) as worker:
        worker.drain("Echo")
        began = time.monotonic()
        with engine.draining(worker, "Echo"):
            worker.begin_stop()

    assert time.monotonic() - began < LONG / 2


def test_a_lane_is_busy_for_as_long_as_its_last_claims_brought_several(settings: Settings) -> None:
    settings.WAYBILL_BREATH = 0.02
    breath = Breath()

    breath.note(claimed=50)
    assert breath._busy_until > time.monotonic()
    breath.note(claimed=0)
    assert breath._busy_until > time.monotonic()
    breath.note(claimed=1)
    assert breath._busy_until < time.monotonic()
