"""Claims: in which order, under whose locks, with which floor, on what lease."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from pytest_django.fixtures import Settings

from orchestrator import outcomes, queue, recovery, turns
from orchestrator.lifecycle import Status
from orchestrator.models import Claim, Client, Lane, Message, Request, Worker
from tests import engine, factories
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

LANE = "Echo"
IDENTITY = queue.Identity(id=engine.WORKER, host="here", pid=1, queues=("waybill",))


@pytest.fixture
def client_row() -> Client:
    return factories.make_client()


def test_a_claim_leases_the_messages_it_returns(client_row: Client) -> None:
    request = engine.hand_in(client_id=client_row.pk, payloads=[{"n": 1}, {"n": 2}])

    batch = engine.claim(LANE)

    assert [message.payload for message in batch.messages] == ['{"n":1}', '{"n":2}']
    assert engine.statuses_of(request) == [Status.PROCESSING, Status.PROCESSING]
    assert {message.claim_id for message in engine.messages_of(request)} == {batch.claim_id}
    assert all(message.first_started_at for message in engine.messages_of(request))


def test_a_claim_row_says_who_holds_what_until_when(client_row: Client, settings: Settings) -> None:
    settings.WAYBILL_LEASE = 15.0
    engine.hand_in(client_id=client_row.pk)

    batch = engine.claim(LANE)

    claim = Claim.objects.get(pk=batch.claim_id)
    assert (claim.worker_id, claim.lane, claim.alone) == (engine.WORKER, LANE, False)
    assert claim.leased_until - claim.created_at == timedelta(seconds=15)  # both by the database's clock


def test_a_claim_of_nothing_writes_nothing() -> None:
    turns.open_lanes([LANE])

    batch = engine.claim(LANE)

    assert batch == queue.Batch(messages=[], suspects_wait=False)
    assert batch.claim_id is None
    assert not Claim.objects.exists()


def test_claims_go_by_turn(client_row: Client) -> None:
    request = engine.hand_in(client_id=client_row.pk, payloads=[{"n": n} for n in range(5)])
    for message, turn in zip(engine.messages_of(request), [30, 10, 50, 20, 40], strict=True):
        Message.objects.filter(pk=message.pk).update(turn=turn)

    claimed = [message.turn for _ in range(3) for message in engine.claim(LANE, limit=2).messages]

    assert claimed == [10, 20, 30, 40, 50]


def test_claims_go_by_lane(client_row: Client) -> None:
    mine = engine.hand_in(client_id=client_row.pk, lane="Mine")
    engine.hand_in(client_id=client_row.pk, lane="Others")

    batch = engine.claim("Mine")

    assert [message.request_id for message in batch.messages] == [mine.pk]


def test_messages_of_a_request_are_claimed_in_payload_order(client_row: Client) -> None:
    request = engine.hand_in(client_id=client_row.pk, payloads=[{"n": n} for n in range(200)])

    claimed = [message.id for _ in range(4) for message in engine.claim(LANE, limit=60).messages]

    assert claimed == [message.pk for message in engine.messages_of(request)]


def test_a_paused_lane_is_not_claimed(client_row: Client) -> None:
    engine.hand_in(client_id=client_row.pk)
    Lane.objects.update(paused=True)

    assert not engine.claim(LANE).messages

    Lane.objects.update(paused=False)
    assert engine.claim(LANE).messages


def test_a_message_that_waits_for_a_retry_is_not_claimed(client_row: Client) -> None:
    engine.hand_in(client_id=client_row.pk)
    Message.objects.update(available_at=datetime.now(UTC) - timedelta(hours=1))  # due, but not released yet

    assert not engine.claim(LANE).messages


# ---------------------------------------------------------------- two real connections


def test_a_claim_passes_what_another_one_holds_and_does_not_wait(client_row: Client) -> None:
    request = engine.hand_in(client_id=client_row.pk, payloads=[{}] * 4)
    first, second, third, fourth = (message.pk for message in engine.messages_of(request))
    held, checked = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            list(Message.objects.select_for_update(no_key=True).filter(pk__in=[first, second]))
            held.set()
            assert checked.wait(timeout=10)

    with engine.at_once(hold):
        assert held.wait(timeout=10)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '1ms'")  # whoever waits fails
        batch = engine.claim(LANE, limit=2)
        connection.close()
        checked.set()

    assert [message.id for message in batch.messages] == [third, fourth]
    assert [message.id for message in engine.claim(LANE).messages] == [first, second]


def test_many_claimers_never_share_a_message(client_row: Client) -> None:
    request = engine.hand_in(client_id=client_row.pk, payloads=[{}] * 300)
    claimed: list[str] = []

    def claim_all() -> None:
        while batch := engine.claim(LANE, limit=7).messages:
            claimed.extend(str(message.id) for message in batch)

    with engine.at_once(*[claim_all] * 4):
        pass

    assert sorted(claimed) == sorted(str(message.pk) for message in engine.messages_of(request))
    assert Claim.objects.count() >= 300 / 7


# ---------------------------------------------------------------- the floor


def test_a_claim_with_a_floor_sees_nothing_below_it(client_row: Client) -> None:
    engine.hand_in(client_id=client_row.pk, payloads=[{}] * 5)

    batch = engine.claim(LANE, floor=4)

    assert [message.turn for message in batch.messages] == [4, 5]


def test_a_claim_without_a_floor_sees_a_turn_that_was_committed_late(client_row: Client) -> None:
    """A turn is allocated before its message commits: others may have been claimed meanwhile."""
    late = factories.make_client()
    base = turns.allocate(client_id=late.pk, counts={LANE: 1})[LANE]
    engine.hand_in(client_id=client_row.pk, payloads=[{}] * 5)
    assert len(engine.claim(LANE).messages) == 5
    request = engine.hand_in(client_id=late.pk)
    Message.objects.filter(request=request).update(turn=base.turn(rank=1))

    with_floor = engine.claim(LANE, floor=5)
    without = engine.claim(LANE)

    assert not with_floor.messages
    assert [message.request_id for message in without.messages] == [request.pk]


# ---------------------------------------------------------------- the clock


def clock() -> int:
    return Lane.objects.get(pk=LANE).clock


def test_the_clock_rises_to_the_highest_turn_claimed(client_row: Client) -> None:
    engine.hand_in(client_id=client_row.pk, payloads=[{}] * 5)
    assert clock() == 0

    engine.claim(LANE, limit=3)
    assert clock() == 3

    engine.claim(LANE)
    assert clock() == 5


def test_the_clock_never_falls_when_a_lower_turn_is_claimed_after(client_row: Client) -> None:
    request = engine.hand_in(client_id=client_row.pk, payloads=[{}] * 5)
    low = engine.messages_of(request)[0]

    engine.claim(LANE, floor=2)
    engine.claim(LANE)

    assert engine.messages_of(request)[0].claim_id != engine.messages_of(request)[1].claim_id
    assert Message.objects.get(pk=low.pk).status == Status.PROCESSING
    assert clock() == 5


def test_the_database_refuses_a_falling_clock() -> None:
    Lane.objects.create(name=LANE, queue="waybill", clock=7)

    with pytest.raises(DatabaseError, match="clock never falls"):
        Lane.objects.update(clock=6)

    Lane.objects.update(clock=F("clock"))  # standing still is not falling


def test_the_clock_never_falls_under_many_claimers(client_row: Client) -> None:
    engine.hand_in(client_id=client_row.pk, payloads=[{}] * 300)
    seen, over = [], threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.append(clock())

    def claim_all() -> None:
        while engine.claim(LANE, limit=7).messages:
            pass

    with engine.at_once(look):
        with engine.at_once(*[claim_all] * 3):
            pass
        over.set()

    assert seen == sorted(seen)
    assert clock() == 300


# ---------------------------------------------------------------- leases


def test_renewing_touches_one_row_however_many_messages_the_claim_holds(client_row: Client, settings: Settings) -> None:
    request = engine.hand_in(client_id=client_row.pk, payloads=[{}] * 50)
    claim_id = engine.claim(LANE).claim_id
    before = Claim.objects.get(pk=claim_id).leased_until
    versions = row_versions(request)

    renewal = queue.renew(IDENTITY, held={claim_id})

    assert renewal == queue.Renewal(claims=frozenset({claim_id}), draining=False)
    assert Claim.objects.get(pk=claim_id).leased_until > before
    assert row_versions(request) == versions


def row_versions(request: Request) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT ctid::text, xmin::text FROM orchestrator_message WHERE request_id = %s", [request.pk])
        return sorted(cursor.fetchall())


def test_renewing_clears_a_suspicion(client_row: Client) -> None:
    engine.hand_in(client_id=client_row.pk)
    claim_id = engine.claim(LANE).claim_id
    Claim.objects.update(leased_until=datetime.now(UTC) - timedelta(seconds=1))
    assert recovery.suspect_expired_claims() == 1

    queue.renew(IDENTITY, held={claim_id})

    assert Claim.objects.get(pk=claim_id).suspected_at is None


def test_a_heartbeat_makes_the_worker_known_and_tells_it_to_drain() -> None:
    assert not queue.renew(IDENTITY, held=()).draining
    first = Worker.objects.get()
    Worker.objects.update(draining=True)

    assert queue.renew(IDENTITY, held=()).draining
    assert Worker.objects.get().heartbeat_at > first.heartbeat_at

    queue.leave(engine.WORKER)
    assert not Worker.objects.exists()


# ---------------------------------------------------------------- what waits for the disk


@pytest.fixture
def durable() -> None:
    """The tests' server is quick and careless; this connection is not."""
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")


def waits_for_the_disk() -> bool:
    return bool(engine.ask("SHOW synchronous_commit") == "on")


@pytest.mark.usefixtures("durable")
@pytest.mark.parametrize(
    "statement",
    [
        lambda: engine.claim(LANE),
        lambda: queue.renew(IDENTITY, held=()),
        lambda: turns.allocate(client_id=1, counts={LANE: 1}),
    ],
    ids=["claim", "heartbeat", "turns"],
)
def test_claims_heartbeats_and_turns_do_not_wait_for_the_disk(statement, client_row: Client) -> None:  # type: ignore[no-untyped-def]
    engine.hand_in(client_id=client_row.pk)

    with transaction.atomic():
        statement()
        assert not waits_for_the_disk()

    assert waits_for_the_disk()  # it was for that transaction only


@pytest.mark.usefixtures("durable")
def test_outcomes_wait_for_the_disk_on_a_connection_that_has_claimed(client_row: Client) -> None:
    engine.hand_in(client_id=client_row.pk)
    [message] = engine.claim(LANE).messages
    waiting = []

    def look(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        if "SHOW" not in sql:
            waiting.append(waits_for_the_disk())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        outcomes.flush([engine.ended(message)], finished_claims=[message.claim_id])

    assert waiting
    assert all(waiting)


@pytest.mark.usefixtures("durable")
def test_a_claim_is_visible_to_others_at_once(client_row: Client) -> None:
    """Not waiting for the disk is not waiting to be seen."""
    request = engine.hand_in(client_id=client_row.pk)
    engine.claim(LANE)

    with engine.at_once(
        lambda: eventually(lambda: engine.statuses_of(request) == [Status.PROCESSING], within=1, what="the claim")
    ):
        pass
