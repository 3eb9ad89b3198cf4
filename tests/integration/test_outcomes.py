"""Outcomes: one transaction a flush, following the rows that the UPDATE returned."""

import functools
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

from orchestrator import database_errors, finishing, outcomes, stopping
from orchestrator.finishing import Finished
from orchestrator.lifecycle import ErrorPolicy, FailureKind, Status
from orchestrator.models import Claim, Client, Message, Request
from orchestrator.outcomes import INTERNAL_TEXT, TIMEOUT_TEXT, Ending
from orchestrator.queue import Claimed
from tests import engine, factories, lossy
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

LANE = "Echo"
Register = Callable[[finishing.Effect], None]


def hand_in_and_claim(count: int = 1, **columns: Any) -> tuple[Request, list[Claimed]]:
    request = engine.hand_in(client_id=1, payloads=[{}] * count, **columns)
    return request, engine.claim(LANE).messages


def flush(*ended: outcomes.Outcome) -> None:
    outcomes.flush(ended, finished_claims={outcome.claim_id for outcome in ended})


@pytest.fixture
def register(effects: Callable[[str, finishing.Effect], None]) -> Register:
    """Hang an effect on the messages of `Echo`, for the test."""
    return functools.partial(effects, LANE)


# ---------------------------------------------------------------- what is written


@pytest.mark.parametrize(
    ("ending", "fields", "written"),
    [
        (Ending.COMPLETE, {"result": '{"a":1}'}, (Status.COMPLETE, None, '{"a":1}', None, 1, 0)),
        (Ending.REJECTED, {"error": "no"}, (Status.FAILED, FailureKind.REJECTED, None, ["no"], 1, 0)),
        (Ending.FAILED, {}, (Status.FAILED, FailureKind.INTERNAL, None, [INTERNAL_TEXT], 1, 0)),
        (Ending.TIMED_OUT, {}, (Status.FAILED, FailureKind.TIMEOUT, None, [TIMEOUT_TEXT], 1, 0)),
        (Ending.RETRY, {"delay": 60.0}, (Status.QUEUED, None, None, None, 1, 0)),
        (Ending.SKIPPED, {}, (Status.CANCELLED, None, None, None, 0, 0)),
        (Ending.RETURNED, {}, (Status.QUEUED, None, None, None, 0, 0)),
        (Ending.INTERRUPTED, {}, (Status.QUEUED, None, None, None, 0, 1)),
    ],
)
def test_each_ending_has_its_outcome(ending: Ending, fields: dict[str, Any], written: tuple[Any, ...]) -> None:
    request, [claimed] = hand_in_and_claim()

    flush(engine.ended(claimed, ending, **fields))

    [message] = engine.messages_of(request)
    assert (
        message.status,
        message.failure_kind,
        message.result,
        message.errors,
        message.attempts,
        message.losses,
    ) == written
    assert message.claim_id is None
    assert (message.processed_at is None) == (message.status == Status.QUEUED)
    assert (message.available_at is not None) == (ending is Ending.RETRY)
    assert not Claim.objects.exists()


def test_counters_and_completion_follow_the_messages() -> None:
    request, claimed = hand_in_and_claim(4)

    outcomes.flush([engine.ended(claimed[0]), engine.ended(claimed[1], Ending.REJECTED, error="no")])
    assert engine.counters_of(request) == {"open": 2, "complete": 1, "failed": 1}
    assert request.completed_at is None

    flush(engine.ended(claimed[2]), engine.ended(claimed[3]))
    assert engine.counters_of(request) == {"complete": 3, "failed": 1}
    assert request.completed_at == max(message.processed_at for message in engine.messages_of(request))


def test_one_flush_serves_many_requests_and_claims() -> None:
    requests = [engine.hand_in(client_id=1, payloads=[{}] * 3) for _ in range(4)]
    claimed = [message for _ in range(3) for message in engine.claim(LANE, limit=4).messages]
    assert len({message.claim_id for message in claimed}) == 3

    flush(*[engine.ended(message) for message in claimed])

    assert [engine.counters_of(request) for request in requests] == [{"complete": 3}] * 4
    assert not Claim.objects.exists()


# ---------------------------------------------------------------- one transaction


def test_a_flush_is_one_transaction(register: Register) -> None:
    """An effect that can't be carried out takes everything with it; then the flush is halved."""
    request, claimed = hand_in_and_claim(2)
    seen: list[dict[str, int]] = []

    def look_from_outside(cursor: CursorWrapper, finished: Sequence[Finished]) -> None:
        with engine.at_once(lambda: seen.append(engine.counters_of(request))):
            pass

    register(look_from_outside)
    flush(*[engine.ended(message) for message in claimed])

    assert seen == [{"open": 2}]
    assert engine.counters_of(request) == {"complete": 2}


def test_the_locks_are_taken_in_the_houses_order() -> None:
    _, claimed = hand_in_and_claim(2, error_policy=ErrorPolicy.HALT)

    with engine.statements() as sent:
        flush(engine.ended(claimed[0], Ending.FAILED), engine.ended(claimed[1], Ending.SKIPPED))

    locking = [sql for sql, _ in sent if "FOR NO KEY UPDATE" in sql or "UPDATE orchestrator" in sql]
    tables = [
        table for sql in locking for table in re.findall(r"orchestrator_(claim|request|clientlane|message)\b", sql)
    ]
    assert list(dict.fromkeys(tables))[:3] == ["claim", "request", "message"]
    assert all(
        re.search(r"ORDER BY [\w., ]+$", before.rstrip())
        for sql in locking
        for before in sql.split("FOR NO KEY UPDATE")[:-1]
    )


def test_a_flush_that_waits_for_a_claim_holds_no_request() -> None:
    """The race: recovery has the claim and wants its requests, a flush has the requests and wants the claim."""
    request, [claimed] = hand_in_and_claim()
    held, release = threading.Event(), threading.Event()

    def hold_claim() -> None:
        with transaction.atomic():
            engine.ask("SELECT id FROM orchestrator_claim WHERE id = %s FOR UPDATE", claimed.claim_id)
            held.set()
            assert release.wait(timeout=20)

    def flush_when_held() -> None:
        assert held.wait(timeout=10)
        flush(engine.ended(claimed))

    with engine.at_once(hold_claim, flush_when_held):
        eventually(lambda: engine.ask("SELECT count(*) FROM pg_locks WHERE NOT granted"), what="the flush waiting")
        with transaction.atomic():
            free = engine.ask("SELECT count(*) FROM (SELECT FROM orchestrator_request FOR UPDATE SKIP LOCKED) AS free")
        release.set()

    assert free == 1
    assert engine.statuses_of(request) == [Status.COMPLETE]


def test_a_flush_takes_no_more_statements_for_more_messages() -> None:
    _, few = hand_in_and_claim(2)
    with engine.statements() as for_few:
        flush(*[engine.ended(message) for message in few])
    _, many = hand_in_and_claim(100)
    with engine.statements() as for_many:
        flush(*[engine.ended(message) for message in many])

    assert len(for_many) == len(for_few)


# ---------------------------------------------------------------- the fence


def test_a_worker_whose_claim_was_given_away_writes_nothing() -> None:
    request, [claimed] = hand_in_and_claim()
    Claim.objects.all().delete()
    Message.objects.update(claim=None, status=Status.QUEUED)
    [again] = engine.claim(LANE).messages

    flush(engine.ended(claimed, result='"late"'))
    assert engine.statuses_of(request) == [Status.PROCESSING]

    flush(engine.ended(again, result='"in time"'))
    assert engine.messages_of(request)[0].result == '"in time"'
    assert engine.counters_of(request) == {"complete": 1}


def test_the_fence_is_the_claims_existence_and_not_the_time() -> None:
    request, [claimed] = hand_in_and_claim()
    Claim.objects.update(leased_until="2000-01-01T00:00:00Z")

    flush(engine.ended(claimed))

    assert engine.counters_of(request) == {"complete": 1}


def test_what_is_not_this_claims_is_left_alone_even_when_the_list_names_it() -> None:
    request, [claimed] = hand_in_and_claim()
    other = engine.hand_in(client_id=2)
    [others] = engine.claim(LANE).messages
    forged = engine.ended(others)
    forged = outcomes.Outcome(
        message_id=forged.message_id,
        request_id=forged.request_id,
        claim_id=claimed.claim_id,
        ending=forged.ending,
        result="{}",
    )

    outcomes.flush([engine.ended(claimed), forged])

    assert engine.counters_of(request) == {"complete": 1}
    assert engine.counters_of(other) == {"open": 1}


def test_a_flush_may_be_repeated() -> None:
    request, claimed = hand_in_and_claim(3)
    ended = [engine.ended(message) for message in claimed]

    for _ in range(3):
        flush(*ended)

    assert engine.counters_of(request) == {"complete": 3}
    assert {message.attempts for message in engine.messages_of(request)} == {1}


def test_of_two_flushes_of_one_list_at_once_one_writes() -> None:
    request, claimed = hand_in_and_claim(50)
    ended = [engine.ended(message) for message in claimed]

    with engine.at_once(*[lambda: flush(*ended)] * 4):
        pass

    assert engine.counters_of(request) == {"complete": 50}


# ---------------------------------------------------------------- a lost COMMIT


def test_a_flush_whose_commit_was_carried_out_and_never_answered_is_safe_to_repeat() -> None:
    request, claimed = hand_in_and_claim(3)
    ended = [engine.ended(message) for message in claimed]

    with lossy.proxy(lose_answer_to=b"COMMIT"), pytest.raises(OperationalError) as raised:
        flush(*ended)
    assert database_errors.is_passing(raised.value)
    assert engine.counters_of(request) == {"complete": 3}  # it was carried out

    flush(*ended)

    assert engine.counters_of(request) == {"complete": 3}


def test_a_flush_that_was_cut_off_before_its_commit_is_repeated_whole() -> None:
    request, claimed = hand_in_and_claim(3)
    ended = [engine.ended(message) for message in claimed]

    with lossy.proxy(lose=b"COMMIT"), pytest.raises(OperationalError):
        flush(*ended)
    assert engine.counters_of(request) == {"open": 3}

    flush(*ended)

    assert engine.counters_of(request) == {"complete": 3}


# ---------------------------------------------------------------- halving


@pytest.mark.parametrize("result", ["\x00", "\x1f", '"one"\x1f"two"'])
def test_a_flush_that_fails_is_halved_until_the_culprit_stands_alone(result: str) -> None:
    """PostgreSQL's text can't hold a NUL; the other character stands between two results on their way there."""
    request, claimed = hand_in_and_claim(9)
    ended = [engine.ended(message, result=f'"{number}"') for number, message in enumerate(claimed)]
    ended[4] = engine.ended(claimed[4], result=result)

    flush(*ended)

    assert engine.counters_of(request) == {"complete": 8, "failed": 1}
    messages = engine.messages_of(request)
    assert [message.result for message in messages] == [f'"{n}"' if n != 4 else None for n in range(9)]
    culprit = messages[4]
    assert (culprit.status, culprit.failure_kind, culprit.errors) == (
        Status.FAILED,
        FailureKind.INTERNAL,
        [INTERNAL_TEXT],
    )
    assert not Claim.objects.exists()


def test_several_culprits_are_each_found() -> None:
    request, claimed = hand_in_and_claim(8)
    ended = [
        engine.ended(message, result="\x00" if number in {0, 3, 7} else "{}") for number, message in enumerate(claimed)
    ]

    flush(*ended)

    assert engine.counters_of(request) == {"complete": 5, "failed": 3}


def test_the_culprit_fails_without_effect(register: Register) -> None:
    request, claimed = hand_in_and_claim(5)
    culprit = claimed[2].id
    given: list[Finished] = []

    def effect(cursor: CursorWrapper, finished: Sequence[Finished]) -> None:
        if culprit in {message.message_id for message in finished}:
            raise LookupError("an app's own bug")
        given.extend(finished)

    register(effect)
    flush(*[engine.ended(message) for message in claimed])

    assert engine.counters_of(request) == {"complete": 4, "failed": 1}
    assert {message.message_id for message in given} == {message.id for message in claimed} - {culprit}


def test_what_cannot_be_stored_fails_with_the_effect_of_a_failure(register: Register) -> None:
    """Else an order whose answer PostgreSQL's text can't hold would be open for ever, and its client never told."""
    _, [claimed] = hand_in_and_claim()
    given: list[Finished] = []
    register(lambda cursor, finished: given.extend(finished))

    flush(engine.ended(claimed, result="\x00"))

    assert [(message.message_id, message.status, message.result) for message in given] == [
        (claimed.id, Status.FAILED, None)
    ]


def test_a_culprit_under_halt_on_error_halts_its_request() -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 5, error_policy=ErrorPolicy.HALT)
    claimed = engine.claim(LANE, limit=1).messages

    flush(engine.ended(claimed[0], result="\x00"))

    assert engine.counters_of(request) == {"failed": 1, "cancelled": 4}


def test_a_connection_that_is_lost_is_not_halved_but_told() -> None:
    request, claimed = hand_in_and_claim(2)
    connection.ensure_connection()
    with engine.at_once(
        lambda: engine.ask(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    ):
        pass

    with pytest.raises(OperationalError) as raised:
        flush(*[engine.ended(message) for message in claimed])
    connection.close()

    assert database_errors.is_passing(raised.value)
    assert engine.counters_of(request) == {"open": 2}


# ---------------------------------------------------------------- deadlocks


def test_a_deadlock_repeats_the_unit_of_work(register: Register) -> None:
    """An app's effect locks two rows in the wrong order, against somebody who holds the second."""
    first, second = factories.make_client(), factories.make_client()
    request, claimed = hand_in_and_claim(2)
    holds_second, wants_first = threading.Event(), threading.Event()
    tries: list[int] = []

    def effect(cursor: CursorWrapper, finished: Sequence[Finished]) -> None:
        tries.append(len(finished))
        cursor.execute("SET LOCAL deadlock_timeout = '50ms'")  # so that we are the one to lose
        lock(first)
        wants_first.set()
        lock(second)

    def other() -> None:
        with transaction.atomic():
            lock(second)
            holds_second.set()
            assert wants_first.wait(timeout=10)
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL deadlock_timeout = '10s'")
            lock(first)

    register(effect)
    with engine.at_once(other):
        assert holds_second.wait(timeout=10)
        flush(*[engine.ended(message) for message in claimed])

    assert tries == [2, 2]  # repeated whole, not halved
    assert engine.counters_of(request) == {"complete": 2}


def lock(row: Client) -> None:
    Client.objects.select_for_update(no_key=True).get(pk=row.pk)


# ---------------------------------------------------------------- effects


def test_an_effect_gets_all_final_messages_of_its_type_at_once(register: Register) -> None:
    request, claimed = hand_in_and_claim(4)
    other = engine.hand_in(client_id=1, message_type="Other", lane=LANE)
    claimed += engine.claim(LANE).messages
    given: list[Sequence[Finished]] = []

    register(lambda cursor, finished: given.append(finished))
    flush(
        engine.ended(claimed[0], result='"done"'),
        engine.ended(claimed[1], Ending.REJECTED, error="no"),
        engine.ended(claimed[2], Ending.RETRY, delay=60.0),
        engine.ended(claimed[3], Ending.SKIPPED),
        engine.ended(claimed[4]),
    )

    [finished] = given
    stored = {message.pk: message for message in engine.messages_of(request)}
    assert {(message.status, message.result, message.errors) for message in finished} == {
        (Status.COMPLETE, '"done"', ()),
        (Status.FAILED, None, ("no",)),
        (Status.CANCELLED, None, ()),
    }
    assert all(message.processed_at == stored[message.message_id].processed_at for message in finished)
    assert engine.counters_of(other) == {"complete": 1}


def test_an_effect_follows_the_rows_that_were_written(register: Register) -> None:
    _, claimed = hand_in_and_claim(2)
    given: list[int] = []
    register(lambda cursor, finished: given.append(len(finished)))

    flush(*[engine.ended(message) for message in claimed])
    flush(*[engine.ended(message) for message in claimed])  # as after a lost COMMIT answer

    assert given == [2]


def test_an_effect_is_rolled_back_with_its_flush(register: Register) -> None:
    _, claimed = hand_in_and_claim(2)
    factories.make_client(client_id="touched", name="before")
    tries: list[int] = []

    def effect(cursor: CursorWrapper, finished: Sequence[Finished]) -> None:
        Client.objects.filter(client_id="touched").update(name=f"after {len(finished)}")
        tries.append(len(finished))
        raise LookupError("an app's own bug")

    register(effect)
    flush(*[engine.ended(message) for message in claimed])

    assert tries == [2, 1, 1, 1, 1]  # both; then each by itself, as it ended and as a failure
    assert Client.objects.get(client_id="touched").name == "before"


def test_cancelling_has_its_effects_too(register: Register) -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 3)
    given: list[Status] = []
    register(lambda cursor, finished: given.extend(message.status for message in finished))

    stopping.cancel(client_id=1, request_id=request.pk)

    assert given == [Status.CANCELLED] * 3


def test_a_culprit_that_the_ledger_itself_refuses_is_not_hidden() -> None:
    """Were even the bare failure refused, the flush would say so: nothing is dropped in silence."""
    _, [claimed] = hand_in_and_claim()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orchestrator_request ADD CONSTRAINT broken CHECK (failed = 0 AND complete = 0)")
    try:
        with pytest.raises(DatabaseError):
            flush(engine.ended(claimed))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE orchestrator_request DROP CONSTRAINT broken")

    assert Claim.objects.exists()
