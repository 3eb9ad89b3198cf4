"""Fair turns: a client that hands in a million messages doesn't delay another client's single one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import outcomes, recovery, stopping, turns
from orchestrator.handlers import MessageType, Work
from orchestrator.lifecycle import Status
from orchestrator.models import ClientLane, Lane, Message
from orchestrator.outcomes import Ending
from orchestrator.turns import Base
from tests import engine, factories

pytestmark = pytest.mark.django_db(transaction=True)

LANE = "Echo"


def allocate(client_id: int, count: int, *, lane: str = LANE) -> Base:
    return turns.allocate(client_id=client_id, counts={lane: count})[lane]


def turns_of(request) -> list[int]:  # type: ignore[no-untyped-def]
    return [message.turn for message in engine.messages_of(request)]


def release_retries() -> None:
    """Let the time of every retry come, and release them."""
    Message.objects.filter(available_at__isnull=False).update(available_at=datetime.now(UTC) - timedelta(seconds=1))
    recovery.release_due_retries()


# ---------------------------------------------------------------- the base


def test_each_message_gets_base_plus_its_rank() -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 3)

    assert turns_of(request) == [1, 2, 3]


def test_the_base_is_the_clients_last_turn_when_that_is_larger_than_the_clock() -> None:
    assert allocate(1, 3) == Base(last=0, clock=0)
    assert allocate(1, 2) == Base(last=3, clock=0)
    assert allocate(1, 1) == Base(last=5, clock=0)


def test_the_base_is_the_clock_when_that_is_larger_than_the_clients_last_turn() -> None:
    allocate(1, 3)
    Lane.objects.update(clock=100)

    assert allocate(1, 3) == Base(last=100, clock=100)
    assert allocate(1, 1) == Base(last=103, clock=100)


def test_a_newcomer_stands_beside_the_first_of_everybody_else() -> None:
    allocate(1, 1_000_000)

    assert allocate(2, 1).turn(rank=1) == 1


def test_the_lanes_of_one_intake_are_counted_apart() -> None:
    turns.open_lanes(["Echo", "Post"])
    allocate(1, 3, lane="Post")

    bases = turns.allocate(client_id=1, counts={"Post": 2, "Echo": 5})

    assert bases == {"Post": Base(last=3, clock=0), "Echo": Base(last=0, clock=0)}


def test_a_lane_that_is_not_known_yet_is_opened() -> None:
    allocate(1, 1, lane="New")

    assert Lane.objects.get(pk="New").queue == "waybill"


def test_gaps_are_harmless() -> None:
    """Turns that were allocated for an intake that then failed."""
    allocate(1, 500)
    request = engine.hand_in(client_id=1, payloads=[{}] * 2)

    assert [message.turn for message in engine.claim(LANE).messages] == turns_of(request) == [501, 502]


def test_the_turns_of_intakes_at_once_do_not_overlap() -> None:
    bases: list[Base] = []

    with engine.at_once(*[lambda: bases.extend(allocate(1, 10) for _ in range(20))] * 4):
        pass

    assert sorted(base.last for base in bases) == [10 * n for n in range(80)]


def test_lanes_are_locked_in_name_order_so_that_intakes_never_deadlock() -> None:
    lanes = [f"Lane-{n}" for n in range(6)]
    counts = [dict.fromkeys(lanes, 1), dict.fromkeys(reversed(lanes), 1)]

    def allocate_often(which: dict[str, int]) -> None:
        for _ in range(50):
            turns.allocate(client_id=1, counts=which)

    with engine.at_once(*[lambda which=which: allocate_often(which) for which in counts * 2]):
        pass

    assert set(ClientLane.objects.values_list("last_turn", flat=True)) == {200}


def test_turns_are_allocated_outside_the_intake_transaction_so_own_posts_do_not_queue_behind_each_other() -> None:
    """While one intake's transaction is open, the same client's next one gets its turns without waiting."""
    allocate(1, 1)
    with transaction.atomic():
        engine.ask("SELECT 1")  # the first intake is storing its messages

        def allocate_without_waiting() -> None:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '1ms'")
            assert allocate(1, 1) == Base(last=1, clock=0)

        with engine.at_once(allocate_without_waiting):
            pass


# ---------------------------------------------------------------- priority


def test_priority_is_a_thousand_turns_earlier() -> None:
    base = Base(last=5_000, clock=0)

    assert base.turn(rank=1) == 5_001
    assert base.turn(rank=1, priority=1) == 4_001
    assert base.turn(rank=2, priority=3) == 2_002


@given(
    last=st.integers(0, 10**12),
    behind=st.integers(0, 10**12),
    rank=st.integers(1, 10_000),
    priority=st.integers(0, 9),
)
def test_priority_is_never_below_the_clock(last: int, behind: int, rank: int, priority: int) -> None:
    clock = max(last - behind, 0)

    turn = Base(last=last, clock=clock).turn(rank=rank, priority=priority)

    assert clock <= turn <= last + rank


def test_an_urgent_message_is_claimed_before_the_clients_earlier_ones() -> None:
    slow = engine.hand_in(client_id=1, payloads=[{}] * 1_500)
    urgent = engine.hand_in(client_id=1, priority=1)

    claimed = engine.claim(LANE, limit=502).messages

    assert claimed[-1].request_id == urgent.pk
    assert {message.request_id for message in claimed[:-1]} == {slow.pk}


# ---------------------------------------------------------------- two clients


def test_a_crowd_of_one_client_does_not_delay_the_single_message_of_another_by_more_than_a_batch(
    declare: Callable[..., MessageType],
) -> None:
    order: list[int] = []
    handed_in = []

    def carry_out(work: Work) -> None:
        order.append(work.client_id)
        if len(order) == 500:  # the crowd is well under way when the other client comes
            handed_in.append(engine.hand_in(client_id=2, message_type=known.name))

    known = declare(carry_out)
    engine.hand_in(client_id=1, message_type=known.name, payloads=[{}] * 3_000)

    with engine.running_worker(housekeeping=False) as worker:
        engine.work_off(worker, known.name)

    assert len(order) == 3_001
    assert order.index(2) <= 500 + 500  # the batch that was claimed already, and no more
    assert engine.statuses_of(handed_in[0]) == [Status.COMPLETE]


def test_two_crowds_take_turns() -> None:
    engine.hand_in(client_id=1, payloads=[{}] * 1_000)
    engine.hand_in(client_id=2, payloads=[{}] * 1_000)

    for _ in range(10):
        clients = [message.client_id for message in engine.claim(LANE, limit=100).messages]
        assert clients.count(1) == clients.count(2) == 50


def test_a_client_that_was_idle_has_not_saved_up_turns() -> None:
    engine.hand_in(client_id=2)
    engine.hand_in(client_id=1, payloads=[{}] * 1_000)
    engine.claim(LANE, limit=501)
    assert Lane.objects.get(pk=LANE).clock == 500

    back = engine.hand_in(client_id=2, payloads=[{}] * 2)

    assert turns_of(back) == [501, 502]


# ---------------------------------------------------------------- retried and given back


def test_a_released_retry_gets_the_clock_plus_its_rank_among_its_clients_messages() -> None:
    first = engine.hand_in(client_id=1, payloads=[{}] * 3)
    second = engine.hand_in(client_id=2, payloads=[{}] * 2)
    batch = engine.claim(LANE).messages
    outcomes.flush(
        [engine.ended(message, Ending.RETRY, delay=60.0) for message in batch],
        finished_claims=[batch[0].claim_id],
    )
    Lane.objects.update(clock=1_000)

    release_retries()

    assert turns_of(first) == [1_001, 1_002, 1_003]
    assert turns_of(second) == [1_001, 1_002]


def test_a_released_retry_does_not_wait_behind_the_crowd_of_its_own_client() -> None:
    retried = engine.hand_in(client_id=1)
    [message] = engine.claim(LANE).messages
    engine.hand_in(client_id=1, payloads=[{}] * 1_000)
    outcomes.flush([engine.ended(message, Ending.RETRY, delay=60.0)], finished_claims=[message.claim_id])

    release_retries()

    assert retried.pk in {claimed.request_id for claimed in engine.claim(LANE, limit=2).messages}


# ---------------------------------------------------------------- pulled back


def last_turn(client_id: int) -> int:
    return ClientLane.objects.get(client_id=client_id, lane=LANE).last_turn


def test_cancelling_pulls_the_clients_last_turn_back_to_its_largest_still_queued_one() -> None:
    engine.hand_in(client_id=1, payloads=[{}] * 5)
    crowd = engine.hand_in(client_id=1, payloads=[{}] * 1_000)
    assert last_turn(1) == 1_005

    stopping.cancel(client_id=1, request_id=crowd.pk)

    assert last_turn(1) == 5
    assert turns_of(engine.hand_in(client_id=1)) == [6]


def test_cancelling_pulls_the_clients_last_turn_back_to_the_clock_when_nothing_is_queued() -> None:
    engine.hand_in(client_id=2, payloads=[{}] * 30)
    engine.claim(LANE, limit=20)
    crowd = engine.hand_in(client_id=1, payloads=[{}] * 1_000)

    stopping.cancel(client_id=1, request_id=crowd.pk)

    assert last_turn(1) == Lane.objects.get(pk=LANE).clock == 20


def test_cancelling_leaves_other_clients_turns_alone() -> None:
    crowd = engine.hand_in(client_id=1, payloads=[{}] * 10)
    engine.hand_in(client_id=2, payloads=[{}] * 7)

    stopping.cancel(client_id=1, request_id=crowd.pk)

    assert last_turn(2) == 7


def test_cancelling_never_pushes_a_last_turn_forward() -> None:
    early = engine.hand_in(client_id=1, payloads=[{}] * 3)
    engine.hand_in(client_id=1, payloads=[{}] * 3)

    stopping.cancel(client_id=1, request_id=early.pk)

    assert last_turn(1) == 6


def test_cancelling_in_several_lanes_pulls_each_back() -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 4)
    turns.allocate(client_id=1, counts={"Post": 2})
    Message.objects.filter(request=request, number__gte=2).update(lane="Post")

    stopping.cancel(client_id=1, request_id=request.pk)

    assert set(ClientLane.objects.values_list("lane", "last_turn")) == {("Echo", 0), ("Post", 0)}


def test_the_order_of_claims_is_the_index_order_and_nothing_is_sorted() -> None:
    """No scheduler: message_claimable answers a claim by itself, whatever else lies in the table."""
    engine.hand_in(client_id=factories.make_client().pk, payloads=[{}] * 2_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE orchestrator_message")
        cursor.execute(
            "EXPLAIN SELECT id FROM orchestrator_message WHERE lane = %s AND NOT suspect AND turn >= 0"
            " AND status = 'Queued' AND available_at IS NULL ORDER BY turn LIMIT 100 FOR NO KEY UPDATE SKIP LOCKED",
            [LANE],
        )
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "message_claimable" in plan
    assert "Sort" not in plan
