"""What must hold always, and attempts to break it: by SQL, and by many at once."""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from orchestrator import outcomes, recovery, stopping, turns
from orchestrator.lifecycle import FINAL, MOVES, OPEN, ErrorPolicy, FailureKind, Status
from orchestrator.models import Claim, Message, Request
from orchestrator.outcomes import Ending
from orchestrator.queue import Claimed
from tests import engine
from tests.waiting import eventually

by_sql = pytest.mark.django_db
by_many_at_once = pytest.mark.django_db(transaction=True)

LANE = "Echo"


@pytest.fixture
def message() -> Message:
    return engine.messages_of(engine.hand_in(client_id=1))[0]


def write(message: Message, status: Status, **columns: object) -> None:
    """Write a status as the engine would, with what belongs to it."""
    columns.setdefault("processed_at", Now() if status in FINAL else None)
    columns.setdefault("failure_kind", FailureKind.INTERNAL if status == Status.FAILED else None)
    columns.setdefault("claim", None)
    with transaction.atomic():
        Message.objects.filter(pk=message.pk).update(status=status, **columns)


# ---------------------------------------------------------------- one final status, set once


@by_sql
@pytest.mark.parametrize("final", sorted(FINAL))
@pytest.mark.parametrize("other", sorted(Status))
def test_the_database_refuses_to_change_a_final_status(message: Message, final: Status, other: Status) -> None:
    write(message, final)

    if other == final:
        write(message, other)
    else:
        with pytest.raises(IntegrityError, match="a final status never changes"):
            write(message, other)

    assert engine.ask("SELECT status FROM orchestrator_message") == final


@by_sql
@pytest.mark.parametrize("final", sorted(FINAL))
def test_a_final_message_must_have_its_processed_at(message: Message, final: Status) -> None:
    with pytest.raises(IntegrityError, match="message_processed_exactly_when_final"):
        write(message, final, processed_at=None)


@by_sql
@pytest.mark.parametrize("still_open", sorted(OPEN))
def test_an_open_message_must_not_have_a_processed_at(message: Message, still_open: Status) -> None:
    with pytest.raises(IntegrityError, match="message_processed_exactly_when_final"):
        write(message, still_open, processed_at=Now())


@by_sql
def test_a_failed_message_must_say_why_and_no_other_may(message: Message) -> None:
    with pytest.raises(IntegrityError, match="message_failed_has_kind"):
        write(message, Status.FAILED, failure_kind=None)
    with pytest.raises(IntegrityError, match="message_failed_has_kind"):
        write(message, Status.COMPLETE, failure_kind=FailureKind.TIMEOUT)


@by_sql
def test_only_a_message_in_processing_is_claimed(message: Message) -> None:
    with pytest.raises(IntegrityError, match="message_claimed_only_in_processing"):
        write(message, Status.QUEUED, claim=1)


@by_sql
def test_no_status_is_unknown(message: Message) -> None:
    with pytest.raises(IntegrityError, match="message_status_known"):
        Message.objects.update(status="Lost")


# ---------------------------------------------------------------- counters


@by_sql
@pytest.mark.parametrize("counter", ["open", "complete", "failed", "invalid", "cancelled", "total"])
def test_the_database_refuses_counters_that_do_not_add_up(message: Message, counter: str) -> None:
    with pytest.raises(IntegrityError, match="request_counters_add_up"):
        Request.objects.update(**{counter: 5})


@by_sql
@pytest.mark.parametrize("counter", ["open", "complete", "failed", "invalid", "cancelled"])
def test_the_database_refuses_a_negative_counter(message: Message, counter: str) -> None:
    others = {"open": 0, "complete": 0, "failed": 0, "invalid": 0, "cancelled": 0}
    balance = "cancelled" if counter != "cancelled" else "open"

    with pytest.raises(IntegrityError, match="request_counters_not_negative"):
        Request.objects.update(**others | {counter: -1, balance: 2})


@by_sql
def test_a_request_with_open_messages_is_not_completed(message: Message) -> None:
    with pytest.raises(IntegrityError, match="request_completed_has_none_open"):
        Request.objects.update(completed_at=Now())


@by_sql
def test_a_stop_has_its_reason(message: Message) -> None:
    with pytest.raises(IntegrityError, match="request_stop_has_reason"):
        Request.objects.update(stopped_at=Now())


# One statement, one snapshot: what any reader sees at any commit.
_UNSOUND = """
SELECT count(*) FROM orchestrator_request AS request, LATERAL (
    SELECT count(*) AS n, count(*) FILTER (WHERE status IN ('Queued', 'Processing')) AS still_open,
        count(*) FILTER (WHERE status = 'Complete') AS complete, count(*) FILTER (WHERE status = 'Failed') AS failed,
        count(*) FILTER (WHERE status = 'Invalid') AS invalid, count(*) FILTER (WHERE status = 'Cancelled') AS cancelled
    FROM orchestrator_message WHERE request_id = request.id
) AS counted
WHERE request.total <> request.open + request.complete + request.failed + request.invalid + request.cancelled
    OR request.total <> n OR request.open <> still_open OR request.complete <> counted.complete
    OR request.failed <> counted.failed OR request.invalid <> counted.invalid
    OR request.cancelled <> counted.cancelled OR (request.open = 0) <> (completed_at IS NOT NULL)
"""

_DANGLING = """
SELECT count(*) FROM orchestrator_message AS message WHERE claim_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM orchestrator_claim WHERE id = message.claim_id)
"""


@pytest.fixture
def noted_moves() -> Iterator[Callable[[], set[tuple[str, str]]]]:
    """Every move of a message that any connection commits, as the database sees them."""
    run(
        "CREATE TABLE seen_moves (source text, target text);"
        "CREATE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO seen_moves VALUES (OLD.status, NEW.status); RETURN NULL; END $$;"
        "CREATE TRIGGER note_move AFTER UPDATE OF status ON orchestrator_message FOR EACH ROW"
        " WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION note_move()"
    )
    yield lambda: set(run("SELECT DISTINCT source, target FROM seen_moves"))
    run("DROP TRIGGER note_move ON orchestrator_message")
    run("DROP FUNCTION note_move(); DROP TABLE seen_moves")


def run(sql: str) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []


class Storm:
    """Workers that complete, fail, retry, skip and get lost; a client that cancels; recovery; a reader."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.unsound: list[int] = []
        self.finals: list[int] = []

    def hand_in(self) -> None:
        chance = random.Random(1)
        for n in range(40):
            policy = ErrorPolicy.HALT if n % 2 else ErrorPolicy.PROCEED
            overdue = {"deadline_at": long_ago()} if n % 7 == 0 else {}
            with transaction.atomic():
                request = engine.hand_in(
                    client_id=n % 3, payloads=[{}] * chance.randint(1, 12), error_policy=policy, **overdue
                )
            if n % 5 == 0:
                with contextlib.suppress(stopping.AlreadyFinished):
                    stopping.cancel(client_id=n % 3, request_id=request.pk)

    def work(self, seed: int) -> None:
        chance = random.Random(seed)
        while not self.over.is_set():
            claimed = engine.claim(LANE, limit=chance.randint(1, 20)).messages
            if chance.random() < 0.15:
                continue  # lost
            outcomes.flush(
                [self._end(message, chance) for message in claimed],
                finished_claims={message.claim_id for message in claimed},
            )

    def _end(self, message: Claimed, chance: random.Random) -> outcomes.Outcome:
        if message.stopped:
            return engine.ended(message, Ending.SKIPPED)
        ending = chance.choice([Ending.COMPLETE] * 6 + [Ending.REJECTED, Ending.RETRY, Ending.RETURNED])
        return engine.ended(message, ending, **{"delay": 0.0} if ending is Ending.RETRY else {})

    def recover(self) -> None:
        while not self.over.is_set():
            Claim.objects.filter(created_at__lt=datetime.now(UTC) - timedelta(seconds=0.05)).update(
                leased_until=long_ago(), suspected_at=long_ago()
            )
            recovery.give_back_lost_claims()
            recovery.release_due_retries()
            stopping.expire_overdue()
            Message.objects.filter(suspect=True, status=Status.QUEUED).update(suspect=False)  # not run alone here

    def look(self) -> None:
        while not self.over.is_set():
            self.unsound += [engine.ask(_UNSOUND), engine.ask(_DANGLING)]
            self.finals.append(Message.objects.filter(processed_at__isnull=False).count())

    def rage(self) -> None:
        with engine.at_once(*[lambda seed=seed: self.work(seed) for seed in range(3)], self.recover, self.look):
            try:
                self.hand_in()
                eventually(lambda: not Request.objects.filter(open__gt=0).exists(), within=20, what="the end of all")
            finally:
                self.over.set()


def long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=60)


@by_many_at_once
def test_many_at_once_break_no_invariant_and_make_every_move_of_the_table_and_no_other(
    noted_moves: Callable[[], set[tuple[str, str]]],
) -> None:
    turns.open_lanes([LANE])
    storm = Storm()

    storm.rage()

    assert storm.unsound
    assert sum(storm.unsound) == 0
    assert storm.finals == sorted(storm.finals)  # what is final stays final
    assert engine.ask(_UNSOUND) == engine.ask(_DANGLING) == 0
    assert noted_moves() == {(source.value, target.value) for source, targets in MOVES.items() for target in targets}


@by_many_at_once
def test_running_workers_make_the_counters_add_up_at_every_commit() -> None:
    """Two real worker processes' parts on one lane, and a reader beside them."""
    requests = [engine.hand_in(client_id=n % 2, payloads=[{}] * 150) for n in range(8)]
    over = threading.Event()
    unsound: list[int] = []

    def look() -> None:
        while not over.is_set():
            unsound.append(engine.ask(_UNSOUND))

    with engine.running_worker() as one, engine.running_worker() as two, engine.at_once(look):
        try:
            with engine.at_once(lambda: engine.work_off(one, LANE), lambda: engine.work_off(two, LANE)):
                pass
            for worker in (one, two):
                assert worker.recorder.wait_until_empty(timeout=10)
        finally:
            over.set()

    assert unsound
    assert sum(unsound) == 0
    assert [engine.counters_of(request) for request in requests] == [{"complete": 150}] * 8
    assert not Claim.objects.exists()


@by_many_at_once
def test_exactly_once_in_the_ledger_when_a_message_was_carried_out_twice() -> None:
    """Its first worker was only slow: lost, given back, and then it reports after all."""
    request = engine.hand_in(client_id=1)
    [slow] = engine.claim(LANE).messages
    Claim.objects.update(leased_until=long_ago(), suspected_at=long_ago())
    recovery.give_back_lost_claims()
    [quick] = engine.claim(LANE, alone=True).messages

    with engine.at_once(
        lambda: outcomes.flush([engine.ended(slow, result='"slow"')], finished_claims=[slow.claim_id]),
        lambda: outcomes.flush([engine.ended(quick, result='"quick"')], finished_claims=[quick.claim_id]),
    ):
        pass

    assert engine.messages_of(request)[0].result == '"quick"'
    assert engine.counters_of(request) == {"complete": 1}
