"""Old work goes when its days are over, and only then; in small batches that nobody waits for."""

import threading
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from orchestrator import accounts, retention
from orchestrator.lifecycle import Status
from orchestrator.models import Message, Purge, Request
from orders.models import Order, OrderEvent
from tests import factories
from tests.factories import AMessage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


def finished(account: accounts.Account, *types: str, days: float, status: Status = Status.COMPLETE) -> Request:
    """A request that ended so many days ago, each message with a payload and a result."""
    request = factories.make_request(
        client_id=account.id, messages=[AMessage(type=name, status=status) for name in types]
    )
    Message.objects.filter(request=request).update(payload='{"private":1}', result='{"answer":2}')
    if status is not Status.QUEUED:
        Request.objects.filter(pk=request.pk).update(completed_at=datetime.now(UTC) - timedelta(days=days))
    return request


def keep(settings: Any, *, clear: Mapping[str, float] | None = None, delete: Mapping[str, float] | None = None) -> None:
    settings.WAYBILL_CLEAR_AFTER_DAYS = dict(clear or {})
    settings.WAYBILL_DELETE_AFTER_DAYS = dict(delete or {})


def contents(request: Request) -> list[tuple[str, str | None]]:
    return list(Message.objects.filter(request=request).order_by("number").values_list("payload", "result"))


def there(*requests: Request) -> list[bool]:
    return [Request.objects.filter(pk=request.pk).exists() for request in requests]


WHOLE, CLEARED = ('{"private":1}', '{"answer":2}'), ("", None)


def test_what_is_old_is_cleared_by_type_and_what_is_older_deleted(account: accounts.Account, settings: Any) -> None:
    keep(settings, clear={"Echo": 10, "*": 30}, delete={"*": 100})
    young = finished(account, "Echo", "Other", days=9)
    mixed = finished(account, "Echo", "Other", days=11)
    older = finished(account, "Echo", "Other", days=31)
    gone = finished(account, "Echo", days=101)

    cleared, deleted = retention.purge()

    assert contents(young) == [WHOLE, WHOLE]
    assert contents(mixed) == [CLEARED, WHOLE]
    assert contents(older) == [CLEARED, CLEARED]
    assert there(young, mixed, older, gone) == [True, True, True, False]
    assert not Message.objects.filter(request_id=gone.pk).exists()
    assert (deleted.requests, deleted.messages) == (1, 1)
    assert cleared.messages == 4


def test_without_the_settings_everything_stays(account: accounts.Account, settings: Any) -> None:
    keep(settings)
    old = finished(account, "Echo", days=10_000)

    retention.purge()

    assert contents(old) == [WHOLE]


def test_what_is_open_stays_however_old(account: accounts.Account, settings: Any) -> None:
    keep(settings, clear={"*": 0}, delete={"*": 0})
    waiting = finished(account, "Echo", days=500, status=Status.QUEUED)

    retention.purge()

    assert contents(waiting) == [WHOLE]


def test_a_status_and_its_errors_outlive_the_payload(account: accounts.Account, settings: Any) -> None:
    keep(settings, clear={"*": 1})
    request = finished(account, "Echo", days=2, status=Status.FAILED)
    before = Message.objects.values("status", "errors", "processed_at", "attempts", "turn").get()

    retention.purge()

    assert contents(request) == [CLEARED]
    assert Message.objects.values("status", "errors", "processed_at", "attempts", "turn").get() == before


def test_a_request_goes_when_the_last_of_its_types_may(account: accounts.Account, settings: Any) -> None:
    keep(settings, delete={"Echo": 10, "Other": 20})
    both = finished(account, "Echo", "Other", days=15)
    unknown = finished(account, "Echo", "Kept", days=500)

    retention.purge()
    first = there(both, unknown)
    Request.objects.filter(pk=both.pk).update(completed_at=datetime.now(UTC) - timedelta(days=21))
    retention.purge()

    assert (first, there(both, unknown)) == ([True, True], [False, True])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"A": 20, "Echo": 30}, {"A": 20, "Echo": 20}),  # shorter
        ({"Echo": 10, "A": 60}, {"Echo": 10, "A": 5}),
        ({"A": 5, "*": 40}, {"*": 5}),  # one is named no more
        ({"*": 40}, {"A": 5, "*": 5}),  # one gets a name
        ({"A": 1, "Echo": 60}, {"A": 24, "Echo": 10}),  # one longer, one shorter
    ],
)
def test_changed_settings_hold_for_what_was_passed_by_before(
    account: accounts.Account, settings: Any, before: dict[str, float], after: dict[str, float]
) -> None:
    old = finished(account, "A", "Echo", days=25)
    keep(settings, delete=before)
    retention.purge()
    first = there(old)

    keep(settings, delete=after)
    retention.purge()

    assert (first, there(old)) == ([True], [False])


def test_a_pass_goes_on_where_the_last_one_stopped(account: accounts.Account, settings: Any) -> None:
    keep(settings, clear={"*": 1})
    finished(account, "Echo", days=5)
    retention.purge()

    again = retention.purge()[0]
    place = Purge.objects.get(action="clear")
    late = finished(account, "Echo", days=2)
    more = retention.purge()[0]

    assert (again.requests, more.requests) == (0, 1)
    assert contents(late) == [CLEARED]
    assert Purge.objects.get(action="clear").upto > place.upto


def test_large_requests_are_batches_of_their_own(
    account: accounts.Account, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(settings, delete={"*": 1})
    monkeypatch.setattr(retention, "_MESSAGES_AT_ONCE", 10)
    requests = [finished(account, *["Echo"] * size, days=size) for size in (30, 4, 4, 12, 2)]

    batches = list(retention._batches(_prepared(retention.rules()[1]), "*"))

    assert there(*requests) == [False] * 5
    assert batches == [(1, 30), (1, 12), (3, 10)]


def _prepared(rule: retention.Rules) -> retention.Rules:
    retention._prepare(rule)
    return rule


def test_two_purges_at_once_do_the_work_once(account: accounts.Account, settings: Any) -> None:
    keep(settings, delete={"*": 1})
    for _ in range(30):
        finished(account, "Echo", days=3)
    done: list[int] = []

    def purge() -> None:
        try:
            done.append(retention.purge()[1].requests)
        finally:
            connection.close()

    threads = [threading.Thread(target=purge) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(done) == 30
    assert not Request.objects.exists()


def test_it_leaves_a_type_to_the_purge_that_is_at_it(account: accounts.Account, settings: Any) -> None:
    keep(settings, clear={"*": 1})
    old = finished(account, "Echo", days=3)
    _prepared(retention.rules()[0])

    def purge() -> None:
        retention.purge()
        connection.close()

    with transaction.atomic():
        Purge.objects.select_for_update().get()
        other = threading.Thread(target=purge)
        other.start()
        other.join(timeout=20)
        ended = not other.is_alive()

    assert ended
    assert contents(old) == [WHOLE]


def test_order_events_are_kept(account: accounts.Account, settings: Any) -> None:
    keep(settings, clear={"*": 1}, delete={"*": 1})
    request = finished(account, "Order", days=3)
    order = Order.objects.create(
        id=request.pk,
        client_id=account.id,
        access_id="STTA0001",
        service="TV-1",
        operation="ACTIVATE",
        state="DONE_SUCCESS",
        received_at=request.received_at,
        finished_at=request.received_at,
    )
    OrderEvent.objects.create(
        id=request.pk,
        client_id=account.id,
        position=1,
        order=order,
        access_id=order.access_id,
        service=order.service,
        operation=order.operation,
        state=order.state,
        message="",
        happened_at=request.received_at,
    )

    retention.purge()

    assert there(request) == [False]
    assert OrderEvent.objects.count() == Order.objects.count() == 1


# ---------------------------------------------------------------- the command


def run(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("purge", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_a_dry_run_says_what_would_go_and_touches_nothing(account: accounts.Account, settings: Any) -> None:
    keep(settings, clear={"Echo": 1, "*": 5}, delete={"*": 10})
    finished(account, "Echo", "Other", days=3)
    finished(account, "Echo", "Other", days=20)
    before = list(Message.objects.order_by("id").values())

    said = run("--dry-run")

    assert said == [
        "would be cleared: 3 messages",
        "would be deleted: 2 messages of 1 request",
    ]
    assert list(Message.objects.order_by("id").values()) == before
    assert not Purge.objects.exists()


def test_it_says_what_it_did(account: accounts.Account, settings: Any) -> None:
    keep(settings, delete={"Echo": 1})
    finished(account, "Echo", days=3)

    assert run() == [
        "WAYBILL_CLEAR_AFTER_DAYS is not set: nothing is ever cleared",
        "deleted: 1 message of 1 request",
    ]


def test_finding_what_is_due_reads_the_index_of_ends_and_nothing_else(account: accounts.Account, settings: Any) -> None:
    keep(settings, delete={"*": 30})
    for _ in range(20):
        finished(account, "Echo", days=1)
    rule = _prepared(retention.rules()[1])

    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        parameters = retention._parameters(rule, "*", upto=(datetime(1970, 1, 1, tzinfo=UTC), uuid.UUID(int=0)))
        cursor.execute("EXPLAIN " + retention._DUE, parameters)
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")

    assert "request_completed" in plan
    assert "Seq Scan on orchestrator" not in plan
