"""What becomes of a submission: rows, counters, wake-ups, and what two at once may do."""

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orchestrator import handlers, idempotency, intake, schemas
from orchestrator.accounts import Account
from orchestrator.idempotency import Answer
from orchestrator.intake import DuplicatePolicy, NewMessage, Receipt, Submission
from orchestrator.lifecycle import ErrorPolicy, Status, StopReason
from orchestrator.models import ClientLane, Lane, Message, Request
from tests import lossy
from tests.factories import make_account

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def ticket_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """A type whose fields have a schema, in a lane of another name, open to one door only."""
    for message_type in (
        handlers.MessageType(
            name="Ticket",
            kind=handlers.Kind.PLAIN,
            handler=print,
            lane="desk",
            schema=schemas.from_json_schema({"required": ["title"]}),
        ),
        handlers.MessageType(name="Private", kind=handlers.Kind.PLAIN, handler=print, doors=frozenset({"orders"})),
    ):
        monkeypatch.setitem(handlers.registry._declared, message_type.name, message_type)


def new_message(*, of: str = "Echo", reference: str | None = "ref", payload: str = "{}") -> NewMessage:
    return NewMessage(type=of, external_reference=reference, payload=payload)


def submission(account: Account, messages: Sequence[NewMessage] = (new_message(),), **changes: Any) -> Submission:
    given: dict[str, Any] = {"account": account, "door": "requests", "messages": messages, "batch_reference": "b"}
    return Submission(**given | changes)


def accept(handed_in: Submission, *, key: idempotency.Key | None = None) -> Receipt:
    """Accept without a door: the answer is empty, and the receipt comes back."""
    receipts: list[Receipt] = []

    def answer(receipt: Receipt) -> Answer:
        receipts.append(receipt)
        return Answer(status=202, body=b"", request_id=receipt.request_id)

    intake.accept(handed_in, key=key, answer=answer)
    return receipts[-1]


def stored(receipt: Receipt) -> list[Message]:
    return list(Message.objects.filter(request=receipt.request_id).order_by("number"))


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Begin the calls in as many threads, each with a connection of its own; return results or exceptions."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        connection.ensure_connection()
        barrier.wait(timeout=10)
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - handed to the test
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@contextmanager
def flags_of(*lanes: str) -> Iterator[None]:
    """Look that exactly these lanes are woken."""
    yield
    assert {lane for lane in ("Echo", "desk") if cache.get(f"wake:{lane}")} == set(lanes)


def test_a_submission_is_stored_whole() -> None:
    account = make_account()
    messages = [
        new_message(reference="one", payload='{"n": 1.50}'),
        new_message(of="Ticket", reference="two", payload='{"title":\t"é \\\\ \\n"}'),
        new_message(reference=None),
    ]

    with flags_of("Echo", "desk"):
        receipt = accept(submission(account, messages, attributes={"a": 1}, deadline_seconds=60, priority=0))

    request = Request.objects.get()
    assert (request.id, request.client_id, request.door) == (receipt.request_id, account.id, "requests")
    assert (request.batch_reference, request.error_policy) == ("b", ErrorPolicy.HALT)
    assert (request.attributes, request.types) == ({"a": 1}, ["Echo", "Ticket"])
    assert (request.total, request.open, request.invalid, request.cancelled) == (3, 3, 0, 0)
    assert request.received_at == receipt.received_at
    assert request.deadline_at == receipt.received_at + timedelta(seconds=60)
    assert abs(request.received_at - timezone.now()) < timedelta(seconds=10)
    assert (request.stopped_at, request.completed_at, request.replay_of) == (None, None, None)
    rows = stored(receipt)
    assert [row.payload for row in rows] == [message.payload for message in messages]
    assert [row.external_reference for row in rows] == ["one", "two", None]
    assert [row.number for row in rows] == [0, 1, 2]
    assert [(row.type, row.lane) for row in rows] == [("Echo", "Echo"), ("Ticket", "desk"), ("Echo", "Echo")]
    assert {row.status for row in rows} == {Status.QUEUED}
    assert {row.received_at for row in rows} == {receipt.received_at}
    assert [row.id for row in rows] == [message.id for message in receipt.messages]
    assert all(row.processed_at is None and row.errors is None and row.attempts == 0 for row in rows)


def test_ids_are_of_one_millisecond_and_ascend_in_payload_order() -> None:
    receipt = accept(submission(make_account(), [new_message()] * 500))

    ids = [message.id for message in receipt.messages]
    assert ids == sorted(ids)
    assert len({*ids, receipt.request_id}) == 501
    assert {made.version for made in ids} == {7}
    assert {made.int >> 80 for made in ids} == {receipt.request_id.int >> 80}


def test_a_single_message_shares_its_requests_id() -> None:
    receipt = accept(submission(make_account()))

    assert [message.id for message in receipt.messages] == [receipt.request_id]


def test_turns_go_on_where_the_client_stopped_and_priority_comes_earlier() -> None:
    account = make_account()
    Lane.objects.create(name="Echo", queue="waybill", clock=5000)
    accept(submission(account, [new_message()] * 2000))

    later = accept(submission(account, [new_message()] * 2))
    urgent = accept(submission(account, priority=1))
    most_urgent = accept(submission(account, priority=9))

    assert [row.turn for row in stored(later)] == [7001, 7002]
    assert [row.turn for row in stored(urgent)] == [6003]
    assert [row.turn for row in stored(most_urgent)] == [5000]
    assert ClientLane.objects.get().last_turn == 7004


@pytest.mark.usefixtures("lasting_caches")
def test_the_number_of_statements_does_not_grow_with_the_messages() -> None:
    account = make_account()
    accept(submission(account))

    def statements_for(count: int) -> int:
        messages = [new_message(reference=f"{count}-{number}") for number in range(count)]
        with CaptureQueriesContext(connection) as sent:
            accept(submission(account, messages, duplicate_policy=DuplicatePolicy.REJECT))
        return len(sent)

    assert statements_for(100) == statements_for(1000)
    assert statements_for(1) == statements_for(10) < statements_for(100)  # one statement less where COPY doesn't pay


def test_a_trace_is_kept_and_begun_where_there_is_none() -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    kept = accept(submission(make_account(), traceparent=given))
    begun = accept(submission(make_account()))

    assert Request.objects.get(id=kept.request_id).traceparent == given
    assert str(Request.objects.get(id=begun.request_id).traceparent).startswith(f"00-{begun.request_id.hex}-")


def test_fields_that_fail_their_schema_make_a_message_invalid_and_the_others_go_on() -> None:
    messages = [new_message(of="Ticket"), new_message(), new_message(of="Ticket", payload='{"title": "t"}')]

    with flags_of("Echo", "desk"):
        receipt = accept(submission(make_account(), messages, error_policy=ErrorPolicy.PROCEED))

    assert [message.status for message in receipt.messages] == [Status.INVALID, Status.QUEUED, Status.QUEUED]
    assert receipt.messages[0].errors == ['"title" is a required property']
    invalid, *others = stored(receipt)
    assert invalid.errors == ['"title" is a required property']
    assert invalid.processed_at == receipt.received_at
    assert {row.processed_at for row in others} == {None}
    request = Request.objects.get()
    assert (request.total, request.open, request.invalid, request.cancelled) == (3, 2, 1, 0)
    assert (request.stopped_at, request.completed_at) == (None, None)


def test_under_halt_on_error_an_invalid_message_cancels_all_others() -> None:
    messages = [new_message(), new_message(of="Ticket"), new_message()]

    with flags_of():
        receipt = accept(submission(make_account(), messages))

    assert [row.status for row in stored(receipt)] == [Status.CANCELLED, Status.INVALID, Status.CANCELLED]
    assert {row.processed_at for row in stored(receipt)} == {receipt.received_at}
    request = Request.objects.get()
    assert (request.total, request.open, request.invalid, request.cancelled) == (3, 0, 1, 2)
    assert (request.stopped_at, request.stop_reason) == (receipt.received_at, StopReason.HALTED)
    assert request.completed_at == receipt.received_at


@pytest.mark.parametrize("policy", ErrorPolicy)
def test_when_all_are_invalid_the_request_is_completed_but_was_not_stopped(policy: ErrorPolicy) -> None:
    with flags_of():
        receipt = accept(submission(make_account(), [new_message(of="Ticket")] * 2, error_policy=policy))

    request = Request.objects.get()
    assert (request.total, request.open, request.invalid) == (2, 0, 2)
    assert (request.completed_at, request.stopped_at) == (receipt.received_at, None)


def test_all_or_nothing_is_nothing_when_one_message_does_not_fit() -> None:
    account = make_account()
    fits, fails = new_message(of="Ticket", payload='{"title": "t"}'), new_message(of="Ticket")
    key = idempotency.make_key(header="k", client_id=account.id, method="POST", path="/p", body=b"{}")

    with pytest.raises(intake.Unfit) as refused:
        accept(submission(account, [fits, fails, fits], all_or_nothing=True), key=key)

    assert list(refused.value.problems) == [1]
    assert not Request.objects.exists()
    assert not ClientLane.objects.exists()
    assert idempotency.find(key) is None
    assert len(stored(accept(submission(account, [fits, fits], all_or_nothing=True), key=key))) == 2


def test_what_a_door_finds_wrong_with_a_message_counts_as_what_its_schema_finds() -> None:
    account = make_account()
    found = {0: ["is no object"], 2: ["is no text"]}
    messages = [new_message(of="Ticket"), new_message(of="Ticket"), new_message()]

    receipt = accept(submission(account, messages, problems=found))
    with pytest.raises(intake.Unfit) as refused:
        accept(submission(account, messages, problems=found, all_or_nothing=True))

    assert [row.errors for row in stored(receipt)] == [
        ["is no object"],
        ['"title" is a required property'],
        ["is no text"],
    ]
    assert sorted(refused.value.problems) == [0, 1, 2]


def test_types_that_do_not_exist_or_are_not_the_clients_are_refused_together() -> None:
    account = make_account(types=["Echo", "Private", "Nowhere"])
    messages = [new_message(of=name) for name in ("Echo", "Nowhere", "Ticket", "Nowhere", "Private")]

    with pytest.raises(intake.TypeRefused) as refused:
        accept(submission(account, messages))

    assert refused.value.first_index == {"Nowhere": 1, "Ticket": 2, "Private": 4}
    assert not Request.objects.exists()


def test_a_type_of_one_door_is_accepted_there() -> None:
    receipt = accept(submission(make_account(), [new_message(of="Private", reference=None)], door="orders"))

    assert receipt.messages[0].status is Status.QUEUED


def test_a_client_at_its_limit_of_open_requests_is_refused() -> None:
    account = make_account(max_in_flight=2)
    accept(submission(account))
    accept(submission(account, [new_message(of="Ticket")]))  # Invalid, so it is not open
    accept(submission(account))

    with pytest.raises(intake.TooManyInFlight):
        accept(submission(account))

    Request.objects.filter(open=1).update(open=0, complete=1)
    accept(submission(account))


def test_services_do_not_count_as_in_flight() -> None:
    account = make_account(max_in_flight=1)
    accept(submission(account, door="services"))

    assert accept(submission(account)).messages


def key_for(account: Account, text: str = "key", *, body: bytes = b"{}") -> idempotency.Key:
    return idempotency.make_key(header=text, client_id=account.id, method="POST", path="/api/v1/requests", body=body)


def test_the_same_key_is_answered_again_even_at_the_limit() -> None:
    account = make_account(max_in_flight=1)
    first = intake.accept(submission(account), key=key_for(account), answer=answer_with_id)

    again = intake.accept(submission(account), key=key_for(account), answer=answer_with_id)

    assert (again.body, again.request_id) == (first.body, first.request_id)
    assert again.replayed
    assert Request.objects.count() == 1


def test_a_refused_submission_keeps_no_key() -> None:
    account = make_account()
    with pytest.raises(intake.TypeRefused):
        intake.accept(submission(account, [new_message(of="No")]), key=key_for(account), answer=answer_with_id)

    assert not intake.accept(submission(account), key=key_for(account, body=b"[]"), answer=answer_with_id).replayed


def test_what_a_door_does_beforehand_stands_or_falls_with_the_submission() -> None:
    account = make_account()
    key = key_for(account)

    def refuse() -> Answer | None:
        Lane.objects.create(name="by the door", queue="waybill")
        raise ValueError("not so")

    def hand_in(*, beforehand: intake.Look) -> Answer:
        own_work = intake.OwnWork(beforehand=beforehand, beside=lambda _: None)
        return intake.accept(submission(account), key=key, answer=answer_with_id, own_work=own_work)

    with pytest.raises(ValueError, match="not so"):
        hand_in(beforehand=refuse)
    instead = hand_in(beforehand=lambda: Answer(200, b"instead"))
    again = hand_in(beforehand=refuse)

    assert (instead.status, again.body, again.replayed) == (200, b"instead", True)
    assert not Lane.objects.filter(name="by the door").exists()
    assert not Request.objects.exists()


def test_what_a_door_does_beside_stands_or_falls_with_the_submission() -> None:
    account = make_account()

    def note(receipt: Receipt) -> None:
        Lane.objects.create(name=f"of {receipt.request_id}", queue="waybill")

    def note_and_refuse(receipt: Receipt) -> None:
        note(receipt)
        raise ValueError("not so")

    def hand_in(*, beside: Callable[[Receipt], None]) -> Answer:
        own_work = intake.OwnWork(beforehand=lambda: None, beside=beside)
        return intake.accept(submission(account), key=None, answer=answer_with_id, own_work=own_work)

    with pytest.raises(ValueError, match="not so"):
        hand_in(beside=note_and_refuse)
    stored = hand_in(beside=note)

    assert Request.objects.get().pk == stored.request_id
    assert Lane.objects.get(name__startswith="of ").name == f"of {stored.request_id}"


def test_work_that_is_under_way_is_answered_before_the_limit_counts_but_behind_the_types() -> None:
    account = make_account(max_in_flight=1)
    accept(submission(account))
    standing = Answer(200, b"already")

    for key in (None, key_for(account)):
        answer = intake.accept(submission(account), key=key, answer=answer_with_id, already=lambda: standing)
        assert answer == standing
    again = intake.accept(submission(account), key=key_for(account), answer=answer_with_id, already=lambda: None)
    with pytest.raises(intake.TypeRefused):
        intake.accept(
            submission(account, [new_message(of="No")]), key=None, answer=answer_with_id, already=lambda: standing
        )

    assert (again.body, again.replayed) == (b"already", True)
    assert Request.objects.count() == 1


def test_the_same_key_from_ten_connections_at_once_makes_one_request() -> None:
    account = make_account()

    answers = at_once(*[lambda: intake.accept(submission(account), key=key_for(account), answer=answer_with_id)] * 10)

    assert len({answer.body for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 9
    assert Request.objects.count() == Message.objects.count() == 1


def answer_with_id(receipt: Receipt) -> Answer:
    return Answer(status=202, body=str(receipt.request_id).encode(), request_id=receipt.request_id)


# --- duplicatePolicy


def hand_in_unique(account: Account, messages: Sequence[NewMessage], **changes: Any) -> list[Status]:
    policies = {"duplicate_policy": DuplicatePolicy.REJECT, "error_policy": ErrorPolicy.PROCEED}
    return [message.status for message in accept(submission(account, messages, **policies | changes)).messages]


def test_a_reference_that_is_held_makes_a_message_invalid_under_reject() -> None:
    account = make_account()
    accept(submission(account, [new_message(reference="taken")]))

    receipt = accept(
        submission(
            account,
            [new_message(reference="taken"), new_message(reference="free")],
            duplicate_policy=DuplicatePolicy.REJECT,
            error_policy=ErrorPolicy.PROCEED,
        )
    )

    assert [message.status for message in receipt.messages] == [Status.INVALID, Status.QUEUED]
    assert receipt.messages[0].errors == ["Another Echo message has this external reference already"]


def test_the_earlier_of_two_in_one_submission_holds_the_reference() -> None:
    messages = [new_message(), new_message(), new_message(of="Ticket", payload='{"title": "t"}')]

    assert hand_in_unique(make_account(), messages) == [Status.QUEUED, Status.INVALID, Status.QUEUED]


def test_an_invalid_message_of_the_same_submission_holds_nothing() -> None:
    messages = [new_message(of="Ticket"), new_message(of="Ticket", payload='{"title": "t"}')]

    assert hand_in_unique(make_account(), messages) == [Status.INVALID, Status.QUEUED]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status.QUEUED, Status.INVALID),
        (Status.PROCESSING, Status.INVALID),
        (Status.COMPLETE, Status.INVALID),
        (Status.FAILED, Status.QUEUED),
        (Status.INVALID, Status.QUEUED),
        (Status.CANCELLED, Status.QUEUED),
    ],
)
def test_only_messages_that_may_succeed_hold_their_reference(status: Status, expected: Status) -> None:
    account = make_account()
    accept(submission(account))
    final = status not in {Status.QUEUED, Status.PROCESSING}
    kind = "rejected" if status is Status.FAILED else None
    Message.objects.update(status=status, processed_at=timezone.now() if final else None, failure_kind=kind)

    assert hand_in_unique(account, [new_message()]) == [expected]


def test_another_clients_reference_and_no_reference_are_held_by_nobody() -> None:
    accept(submission(make_account(), [new_message(reference="taken")]))

    statuses = hand_in_unique(make_account(), [new_message(reference="taken"), *[new_message(reference=None)] * 2])

    assert set(statuses) == {Status.QUEUED}


def test_under_accept_a_reference_may_be_held_many_times() -> None:
    account = make_account()
    accept(submission(account))

    assert accept(submission(account)).messages[0].status is Status.QUEUED


def test_of_eight_with_one_reference_at_once_one_wins() -> None:
    account = make_account()
    messages = [new_message(reference=f"filler-{number}") for number in range(200)] + [new_message(reference="wanted")]

    found = at_once(*[lambda: hand_in_unique(account, messages)[-1]] * 8)

    assert sorted(found) == [Status.INVALID] * 7 + [Status.QUEUED]
    assert Message.objects.filter(external_reference="wanted", status=Status.QUEUED).count() == 1


# --- bad luck


def test_a_deadlock_repeats_the_unit_of_work() -> None:
    account = make_account()
    tries = 0

    def deadlock_once(receipt: Receipt) -> Answer:
        nonlocal tries
        tries += 1
        if tries == 1:
            with connection.cursor() as cursor:
                cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = 'deadlock_detected'; END $$")
        return answer_with_id(receipt)

    intake.accept(submission(account), key=key_for(account), answer=deadlock_once)

    assert tries == 2
    assert Request.objects.count() == Message.objects.count() == 1


@pytest.mark.parametrize("with_key", [False, True])
def test_a_lost_answer_to_commit_is_looked_up_before_answering(with_key: bool) -> None:
    account = make_account()

    with lossy.proxy(lose_answer_to=b"COMMIT") as line:
        key = key_for(account) if with_key else None
        answer = intake.accept(submission(account), key=key, answer=answer_with_id)

    assert line.lost == 1
    assert answer.body.decode() == str(Request.objects.get().id)
    assert not answer.replayed


def test_a_commit_that_never_arrived_is_told() -> None:
    account = make_account()

    with lossy.proxy(lose=b"COMMIT") as line, pytest.raises(OperationalError):
        accept(submission(account))

    assert line.lost == 1
    assert not Request.objects.exists()


def test_a_ledger_that_stays_away_after_commit_is_told() -> None:
    account = make_account()

    with lossy.proxy(lose_answer_to=b"COMMIT", then_refuse=True), pytest.raises(OperationalError):
        accept(submission(account))

    assert Request.objects.count() == 1


def test_counters_add_up_whatever_was_handed_in() -> None:
    account = make_account()
    for policy in ErrorPolicy:
        for bad in range(3):
            messages = [new_message(of="Ticket")] * bad + [new_message(reference=str(uuid.uuid4()))] * 2
            accept(submission(account, messages, error_policy=policy, duplicate_policy=DuplicatePolicy.REJECT))

    for request in Request.objects.all():
        statuses = list(Message.objects.filter(request=request).values_list("status", flat=True))
        assert request.open == statuses.count(Status.QUEUED)
        assert request.invalid == statuses.count(Status.INVALID)
        assert request.cancelled == statuses.count(Status.CANCELLED)
        assert request.total == len(statuses)
        assert (request.completed_at is not None) == (request.open == 0)
