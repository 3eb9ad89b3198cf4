"""The live figures: true whatever the size of the ledger, by partial indexes alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from orchestrator import board, queue
from orchestrator.lifecycle import Status
from orchestrator.models import Client, Lane, Message, Request, Worker
from tests import engine, factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def client_row() -> Client:
    return factories.make_client()


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    board._long_lanes._known = {}
    yield
    board._long_lanes._known = {}


def the_lane(name: str = "Echo") -> board.LaneNow:
    return next(lane for lane in board.read_lanes() if lane.name == name)


class TestALane:
    def test_tells_what_waits_what_runs_and_since_when(self, client_row: Client) -> None:
        request = engine.hand_in(client_id=client_row.pk, payloads=[{}] * 5)
        Message.objects.filter(request=request).update(received_at=datetime.now(UTC) - timedelta(minutes=3))
        engine.claim("Echo", limit=2)

        lane = the_lane()

        assert lane.queued == board.Count(3)
        assert lane.processing == 2
        assert lane.oldest == pytest.approx(180, abs=30)
        assert (lane.queue, lane.paused, lane.retrying) == ("waybill", False, board.Count(0))

    def test_that_is_empty_has_no_oldest(self) -> None:
        Lane.objects.create(name="Echo", queue="slow", paused=True)

        lane = the_lane()

        assert (lane.queue, lane.paused, lane.queued, lane.oldest, lane.processing) == (
            *("slow", True, board.Count(0), None, 0),
        )

    def test_keeps_what_is_to_be_retried_apart(self, client_row: Client) -> None:
        request = engine.hand_in(client_id=client_row.pk, payloads=[{}] * 3)
        later = datetime.now(UTC) + timedelta(minutes=1)
        Message.objects.filter(request=request, number=0).update(available_at=later)

        assert (the_lane().queued, the_lane().retrying) == (board.Count(2), board.Count(1))

    def test_counts_suspects_and_looks_at_their_age_too(self, client_row: Client) -> None:
        request = engine.hand_in(client_id=client_row.pk, payloads=[{}] * 2)
        old = datetime.now(UTC) - timedelta(hours=1)
        Message.objects.filter(request=request, number=1).update(suspect=True, received_at=old)

        lane = the_lane()

        assert lane.queued == board.Count(2)
        assert lane.oldest == pytest.approx(3600, abs=30)

    def test_counts_nobodys_final_messages_nor_external_tasks(self, client_row: Client) -> None:
        factories.make_request(
            client_id=client_row.pk,
            messages=[factories.AMessage(status=status) for status in (Status.COMPLETE, Status.PROCESSING)],
        )
        Lane.objects.create(name="Echo", queue="waybill")

        assert (the_lane().queued, the_lane().processing) == (board.Count(0), 0)


class TestALongLane:
    @pytest.fixture(autouse=True)
    def _short_is_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(board, "COUNTED_AT_ONCE", 3)

    def test_is_counted_to_its_end_but_rarely(self, client_row: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(board, "_RARELY", 1_000_000)
        engine.hand_in(client_id=client_row.pk, payloads=[{}] * 5)

        first = the_lane().queued
        engine.hand_in(client_id=client_row.pk, payloads=[{}] * 5)
        second = the_lane().queued

        assert (first.number, second.number) == (5, 5)
        assert second.seconds_old > first.seconds_old

    def test_is_counted_anew_when_its_time_has_come(self, client_row: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(board, "_RARELY", 0)
        engine.hand_in(client_id=client_row.pk, payloads=[{}] * 5)
        assert the_lane().queued.number == 5

        engine.hand_in(client_id=client_row.pk, payloads=[{}] * 5)
        assert the_lane().queued.number == 10

        Message.objects.filter(number__gt=0).update(turn=1, status=Status.CANCELLED, processed_at=datetime.now(UTC))
        assert the_lane().queued == board.Count(2)

    def test_that_takes_too_long_to_count_says_so(self, client_row: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(board, "_WHOLE_LANE", "SELECT pg_sleep(10), %(lane)s, %(queued)s")
        monkeypatch.setattr(board, "_TIMEOUT", "50ms")
        engine.hand_in(client_id=client_row.pk, payloads=[{}] * 5)

        assert the_lane().queued == board.Count(3, at_least=True)


def test_a_worker_tells_what_it_holds(client_row: Client) -> None:
    engine.hand_in(client_id=client_row.pk, payloads=[{}] * 3)
    engine.hand_in(client_id=client_row.pk, payloads=[{}], lane="Other")
    identity = queue.Identity(id=engine.WORKER, host="here", pid=7, queues=("waybill", "slow"))
    queue.renew(identity, held=())
    engine.claim("Echo", limit=2)
    engine.claim("Other")

    [worker] = board.read_workers()

    assert (worker.id, worker.host, worker.pid, worker.queues) == (engine.WORKER, "here", 7, ["waybill", "slow"])
    assert worker.holds == {"Echo": 2, "Other": 1}
    assert worker.is_alive
    assert not worker.draining


def test_a_worker_that_is_silent_for_longer_than_a_lease_is_not_alive() -> None:
    silent_since = datetime.now(UTC) - timedelta(hours=1)
    Worker.objects.create(id=engine.WORKER, host="here", pid=7, queues=[], heartbeat_at=silent_since)

    [worker] = board.read_workers()

    assert not worker.is_alive
    assert worker.holds == {}


def test_nothing_reads_the_table_of_messages_itself(client_row: Client) -> None:
    """With sequential scans forbidden a plan that needs none has none, however small the table."""
    request: Request = engine.hand_in(client_id=client_row.pk, payloads=[{}] * 5)
    engine.claim("Echo", limit=2)
    Message.objects.filter(request=request, number=4).update(available_at=datetime.now(UTC))

    for statement in (board._LANES, board._WHOLE_LANE, board._RETRIES, board._WORKERS):
        plan = plan_of(statement)

        assert "Seq Scan on orchestrator_message" not in plan
        assert "on orchestrator_message" in plan


def plan_of(statement: str) -> str:
    asked = {"bound": 10, "next": 10, "lane": "Echo", "queued": Status.QUEUED, "processing": Status.PROCESSING}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {statement}", asked)
        return "\n".join(line for (line,) in cursor.fetchall())
