"""Small submissions of one client that come at the same time share a transaction, and nothing else."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import DataError, OperationalError, connection

from orchestrator import intake
from orchestrator.accounts import Account
from orchestrator.idempotency import Answer
from orchestrator.intake import DuplicatePolicy, NewMessage, Receipt, Submission
from orchestrator.lifecycle import ErrorPolicy, Status, StopReason
from orchestrator.models import Message, Request
from tests import engine, lossy
from tests.factories import make_account
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def submission(account: Account, *references: str, payload: str = "{}", **changes: object) -> Submission:
    messages = [NewMessage("Echo", reference, payload) for reference in references or ("one",)]
    return Submission(account=account, door="requests", messages=messages, batch_reference="b", **changes)  # type: ignore[arg-type]


def accept(handed_in: Submission) -> Receipt:
    receipts: list[Receipt] = []

    def answer(receipt: Receipt) -> Answer:
        receipts.append(receipt)
        return Answer(status=202, body=b"", request_id=receipt.request_id)

    intake.accept(handed_in, key=None, answer=answer)
    return receipts[0]


@contextmanager
def standing_still(account: Account) -> Iterator[None]:
    """Hold the client's line in the lane, so that its first POST waits in the database and the others for it."""
    accept(submission(account, "before"))
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT FROM orchestrator_clientlane WHERE client_id = %s FOR UPDATE", (account.id,))
            held.set()
            release.wait(timeout=20)
            cursor.execute("COMMIT")
        connection.close()

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    assert held.wait(timeout=10)
    try:
        yield
    finally:
        release.set()
        holder.join(timeout=10)


def waiting(account: Account) -> int:
    return len(intake._company._waiting.get(account.id, []))


@contextmanager
def together(account: Account, *handed_in: Submission) -> Iterator[list["Future[Receipt]"]]:
    """Have one more submission at work when these come; they are stored when the block ends."""

    def bring(one: Submission) -> Receipt:
        try:
            return accept(one)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(handed_in) + 1) as pool:
        with standing_still(account):
            first = pool.submit(bring, submission(account, "first"))
            eventually(lambda: account.id in intake._company._waiting, what="the first at work")
            results = [pool.submit(bring, one) for one in handed_in]
            eventually(lambda: waiting(account) == len(handed_in), what="the others waiting")
            yield results
        first.exception(timeout=20)


def test_what_comes_together_is_stored_in_one_transaction_and_wakes_once() -> None:
    account = make_account()

    with together(account, *[submission(account, f"{n}-a", f"{n}-b") for n in range(6)]) as results:
        pass
    receipts = [result.result(timeout=20) for result in results]

    assert len({receipt.received_at for receipt in receipts}) == 1  # that of their transaction
    assert engine.ask("SELECT count(DISTINCT xmin::text) FROM orchestrator_request") == 3
    for n, receipt in enumerate(receipts):
        request = Request.objects.get(pk=receipt.request_id)
        assert (request.total, request.open, request.types) == (2, 2, ["Echo"])
        rows = Message.objects.filter(request=request).order_by("number")
        assert [row.external_reference for row in rows] == [f"{n}-a", f"{n}-b"]
        assert [row.pk for row in rows] == [message.id for message in receipt.messages]
    assert sorted(Message.objects.values_list("turn", flat=True)) == list(range(1, 15))
    assert engine.wake_ups() == ["Echo"]


def test_nobody_waits_for_another_clients_company() -> None:
    slow, quick = make_account(), make_account()

    with together(slow, submission(slow)):
        assert accept(submission(quick)).messages

    assert Request.objects.filter(client=quick.id).count() == 1


def test_in_company_everything_of_a_submission_is_kept() -> None:
    account = make_account()
    payload = '{"text":\t"é \\\\ \\n \\" \U0001f600", "n": 1.50}'
    whole = submission(
        account, "one", payload=payload, deadline_seconds=60, attributes={"a": [1]}, error_policy=ErrorPolicy.PROCEED
    )

    receipt = accept(whole)

    request, message = Request.objects.get(), Message.objects.get()
    assert (request.attributes, request.error_policy, request.door) == ({"a": [1]}, ErrorPolicy.PROCEED, "requests")
    assert (request.deadline_at - request.received_at).total_seconds() == 60  # type: ignore[operator]
    assert (request.received_at, message.received_at) == (receipt.received_at, receipt.received_at)
    assert (message.payload, message.status, message.errors) == (payload, Status.QUEUED, None)
    assert message.pk == request.pk


def test_in_company_an_invalid_message_cancels_its_own_request_alone() -> None:
    account = make_account()
    halted = submission(account, "good", "bad", problems={1: ["it is not"]})

    with together(account, halted, submission(account, "other")) as results:
        pass
    receipts = [result.result(timeout=20) for result in results]

    request = Request.objects.get(pk=receipts[0].request_id)
    assert (request.open, request.invalid, request.cancelled) == (0, 1, 1)
    assert (request.stop_reason, request.completed_at) == (StopReason.HALTED, request.received_at)
    messages = Message.objects.filter(request=request).order_by("number")
    assert [(row.status, row.errors) for row in messages] == [
        (Status.CANCELLED, None),
        (Status.INVALID, ["it is not"]),
    ]
    assert all(row.processed_at == request.received_at for row in messages)
    assert Request.objects.get(pk=receipts[1].request_id).open == 1


def test_one_that_the_ledger_refuses_costs_only_itself() -> None:
    account = make_account()
    unstorable = submission(account, "bad", payload="\x00")

    with together(account, submission(account, "a"), unstorable, submission(account, "b")) as results:
        pass

    assert isinstance(results[1].exception(timeout=20), DataError)
    for good in (results[0], results[2]):
        assert Request.objects.filter(pk=good.result(timeout=20).request_id).count() == 1
    assert Request.objects.count() == 4  # with the two that came before


def test_the_end_of_a_leaders_connection_is_its_own_loss() -> None:
    account = make_account()

    with together(account, submission(account, "a"), submission(account, "b")) as results:
        eventually(end_those_who_wait_for_a_lock, what="the first at the lock")

    receipts = [result.result(timeout=20) for result in results]
    assert {receipt.request_id for receipt in receipts} < set(Request.objects.values_list("pk", flat=True))
    assert Request.objects.count() == 3  # with the one before all; the first of the company is told


def end_those_who_wait_for_a_lock() -> int:
    return int(
        engine.ask(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    )


@pytest.mark.parametrize(
    "unsociable",
    [
        lambda account: submission(account, duplicate_policy=DuplicatePolicy.REJECT),
        lambda account: submission(account, *[str(n) for n in range(21)]),
        lambda account: submission(account, payload=f'"{"x" * 65_536}"'),
    ],
    ids=["with a lock", "many", "long"],
)
def test_what_takes_its_time_goes_alone(unsociable: Callable[[Account], Submission]) -> None:
    account = make_account()
    brought: list[object] = []
    bring = intake._company.bring

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intake._company, "bring", lambda key, item: brought.append(item) or bring(key, item))
        accept(unsociable(account))

    assert not brought


def test_a_lost_answer_to_commit_is_looked_up_before_answering() -> None:
    account = make_account()

    with lossy.proxy(lose_answer_to=b"COMMIT") as line:
        receipt = accept(submission(account))

    assert line.lost == 1
    assert Request.objects.get().pk == receipt.request_id


def test_a_commit_that_never_arrived_is_told() -> None:
    account = make_account()

    with lossy.proxy(lose=b"COMMIT") as line, pytest.raises(OperationalError):
        accept(submission(account))

    assert line.lost == 1
    assert not Request.objects.exists()
    assert not intake._company._waiting
