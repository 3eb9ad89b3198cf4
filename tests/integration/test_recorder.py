"""Flushes: at 500 outcomes, at the latest 200 ms after the first, and at once when nothing else is running."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from orchestrator.handlers import Kind, MessageType, Work
from orchestrator.holdings import Holdings
from orchestrator.lifecycle import Status
from orchestrator.models import Claim, Message, Request
from orchestrator.queue import Claimed
from orchestrator.recorder import Recorder
from tests import engine
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

NEVER = 3600.0


def complete() -> int:
    return Message.objects.filter(status=Status.COMPLETE).count()


@contextmanager
def recording(claimed: list[Claimed], holdings: Holdings | None = None) -> Iterator[Recorder]:
    holdings = holdings or Holdings()
    holdings.add(claimed, since=time.monotonic())
    recorder = Recorder(holdings)
    recorder.start()
    try:
        yield recorder
    finally:
        assert recorder.close(timeout=10)


def claim(count: int) -> list[Claimed]:
    engine.hand_in(client_id=1, payloads=[{}] * count)
    return engine.claim("Echo", limit=count).messages


def stays(count: int, *, for_seconds: float = 0.2) -> None:
    until = time.monotonic() + for_seconds
    while time.monotonic() < until:
        assert complete() == count
        time.sleep(0.02)


def test_outcomes_are_flushed_at_five_hundred(settings: Settings) -> None:
    settings.WAYBILL_FLUSH_AFTER = NEVER
    claimed = claim(500)

    with recording(claimed) as recorder:
        for message in claimed[:499]:
            recorder.put([engine.ended(message)])
        stays(0)
        recorder.put([engine.ended(claimed[499])])
        eventually(lambda: complete() == 500, what="the flush")


def test_a_flush_takes_five_hundred_at_most(settings: Settings) -> None:
    settings.WAYBILL_FLUSH_AFTER = NEVER
    claimed = claim(620)

    with recording(claimed) as recorder:
        recorder.put([engine.ended(message) for message in claimed])
        eventually(lambda: complete() == 500, what="the first flush")
        stays(500)

    assert complete() == 620  # closing records what is left


def test_outcomes_are_flushed_at_the_latest_after_a_while(settings: Settings) -> None:
    settings.WAYBILL_FLUSH_AFTER = 0.3
    claimed = claim(3)

    with recording(claimed) as recorder:
        recorder.put([engine.ended(claimed[0])])
        put_at = time.monotonic()
        recorder.put([engine.ended(message) for message in claimed[1:]])
        stays(0, for_seconds=0.15)
        eventually(lambda: complete() == 3, within=5, what="the flush")

    assert time.monotonic() - put_at < 2


def test_outcomes_are_flushed_at_once_when_nothing_else_of_the_drain_is_running(settings: Settings) -> None:
    settings.WAYBILL_FLUSH_AFTER = NEVER
    request = engine.hand_in(client_id=1)

    with engine.running_worker(housekeeping=False) as worker:
        worker.drain("Echo")
        eventually(lambda: engine.statuses_of(request) == [Status.COMPLETE], within=2, what="the result")


def test_the_last_call_of_a_drain_is_flushed_at_once(declare: Callable[..., MessageType], settings: Settings) -> None:
    async def answer(work: Work) -> None:
        await asyncio.sleep(0.01)

    settings.WAYBILL_FLUSH_AFTER = NEVER
    known = declare(answer, kind=Kind.ASYNC)
    request = engine.hand_in(client_id=1, message_type=known.name, payloads=[{}] * 5)

    with engine.running_worker(housekeeping=False) as worker:
        worker.drain(known.name)
        eventually(lambda: engine.counters_of(request) == {"complete": 5}, within=2, what="the results")


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.ASYNC])
def test_a_slow_message_does_not_hide_its_neighbours_results(declare: Callable[..., MessageType], kind: Kind) -> None:
    may_end = threading.Event()

    def plain(work: Work) -> None:
        if work.fields()["slow"]:
            assert may_end.wait(timeout=10)

    async def call(work: Work) -> None:
        while work.fields()["slow"] and not may_end.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.005)

    known = declare(plain if kind is Kind.PLAIN else call, kind=kind)
    request = engine.hand_in(client_id=1, message_type=known.name, payloads=[{"slow": False}] * 3 + [{"slow": True}])

    with engine.running_worker(housekeeping=False) as worker, engine.draining(worker, known.name):
        eventually(lambda: engine.counters_of(request) == {"open": 1, "complete": 3}, what="the neighbours' results")
        may_end.set()
        eventually(lambda: engine.counters_of(request) == {"complete": 4}, what="the slow one's")


def test_a_single_outcome_is_flushed_at_once_when_the_last_flush_is_a_while_ago(settings: Settings) -> None:
    settings.WAYBILL_FLUSH_AFTER = NEVER
    settings.WAYBILL_FLUSH_PAUSE = 0.001
    claimed = claim(3)

    with recording(claimed) as recorder:
        for n, message in enumerate(claimed):
            recorder.put([engine.ended(message)], single=True)
            eventually(lambda done=n + 1: complete() == done, within=2, what="the result")  # type: ignore[misc]


def test_what_ends_by_itself_soon_after_a_flush_shares_the_next(settings: Settings) -> None:
    settings.WAYBILL_FLUSH_AFTER = NEVER
    settings.WAYBILL_FLUSH_PAUSE = 0.3
    claimed = claim(4)

    with recording(claimed) as recorder:
        recorder.put([engine.ended(claimed[0])], single=True)
        eventually(lambda: complete() == 1, within=2, what="the first result")
        flushed_at = time.monotonic()
        for message in claimed[1:]:
            recorder.put([engine.ended(message)], single=True)
        while time.monotonic() < flushed_at + 0.15:
            assert complete() == 1
        eventually(lambda: complete() > 1, within=5, what="the next flush")
        assert complete() == 4


def test_a_quick_call_is_recorded_while_a_slow_one_goes_on(
    declare: Callable[..., MessageType], settings: Settings
) -> None:
    """Another client's slow calls in the same lane don't keep a single one's result back."""
    may_end = threading.Event()

    async def call(work: Work) -> None:
        while work.fields()["slow"] and not may_end.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.005)

    settings.WAYBILL_FLUSH_AFTER = NEVER
    known = declare(call, kind=Kind.ASYNC)
    slow = engine.hand_in(client_id=1, message_type=known.name, payloads=[{"slow": True}])
    quick = engine.hand_in(client_id=2, message_type=known.name, payloads=[{"slow": False}])

    with engine.running_worker(housekeeping=False) as worker, engine.draining(worker, known.name):
        eventually(lambda: engine.counters_of(quick) == {"complete": 1}, within=2, what="the quick one's result")
        assert engine.counters_of(slow) == {"open": 1}
        may_end.set()


def test_a_claim_ends_with_its_last_message() -> None:
    claimed = claim(3)

    with recording(claimed) as recorder:
        for n, message in enumerate(claimed):
            recorder.put([engine.ended(message)], hurry=True)
            assert recorder.wait_until_empty(timeout=5)
            assert Claim.objects.count() == (n < 2)


def test_a_flush_that_the_ledger_refuses_for_a_while_is_tried_again() -> None:
    """The recorder's connection is ended under it, as by a restart of the database."""
    claimed = claim(2)

    with recording(claimed) as recorder:
        recorder.put([engine.ended(claimed[0])], hurry=True)
        assert recorder.wait_until_empty(timeout=5)
        assert engine.ask(
            "SELECT bool_and(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        recorder.put([engine.ended(claimed[1])], hurry=True)
        assert recorder.wait_until_empty(timeout=5)

    assert complete() == 2
    assert Request.objects.get().complete == 2


@contextmanager
def refusing(message: Claimed) -> Iterator[None]:
    """The ledger takes nothing about this message, not even that it failed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER refused BEFORE UPDATE ON orchestrator_message FOR EACH ROW"
            f" WHEN (OLD.id = '{message.id}') EXECUTE FUNCTION waybill_refuse('not this one')"
        )
        try:
            yield
        finally:
            cursor.execute("DROP TRIGGER refused ON orchestrator_message")


def test_what_the_ledger_never_takes_does_not_hold_up_the_others() -> None:
    claimed, others = claim(2), claim(1)
    holdings = Holdings()
    holdings.add(others, since=time.monotonic())

    with refusing(claimed[1]), recording(claimed, holdings) as recorder:
        recorder.put([engine.ended(message) for message in claimed], hurry=True)
        recorder.put([engine.ended(message) for message in others], hurry=True)
        assert recorder.wait_until_empty(timeout=10)

    assert complete() == 2
    assert holdings.claims() == frozenset()  # nobody renews it: recovery gives the message back
    assert Claim.objects.filter(pk=claimed[1].claim_id).exists()


def test_a_drain_that_claims_faster_than_the_ledger_records_is_held_back(settings: Settings) -> None:
    settings.WAYBILL_FLUSH_SIZE = 10
    settings.WAYBILL_FLUSH_AFTER = NEVER
    claimed = claim(30)

    with recording(claimed) as recorder:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT FROM orchestrator_request FOR UPDATE")  # the ledger is busy
            recorder.put([engine.ended(message) for message in claimed])
            held_back = threading.Thread(target=recorder.wait_for_room, daemon=True)
            held_back.start()
            held_back.join(timeout=0.2)
            assert held_back.is_alive()
            cursor.execute("COMMIT")
        held_back.join(timeout=5)
        assert not held_back.is_alive()
