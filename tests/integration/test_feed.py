"""The feed: what was told once is the beginning of every later answer, whoever writes, reads, or dies meanwhile."""

import json
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_httpserver import HTTPServer

from orchestrator import accounts, handlers, outcomes
from orchestrator.finishing import Finished
from orchestrator.lifecycle import FailureKind, Status
from orchestrator.models import Backend
from orders import effects, feed, network
from orders.models import AccessService, Feed, OrderEvent
from tests import engine, factories, processes
from tests.ordering import EVENTS, activate, events, fill_feed, get, make_access, make_open_orders, place, read_list
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account() -> accounts.Account:
    make_access()
    return factories.make_account()


# ---------------------------------------------------------------- writers and readers


def finished(order_id: uuid.UUID, client_id: int) -> Finished:
    """An order's message that has just ended, either way."""
    failed = random.random() < 0.3
    return Finished(
        message_id=order_id,
        request_id=order_id,
        client_id=client_id,
        type=network.TYPE,
        lane=network.TYPE,
        seconds=1.0,
        status=Status.FAILED if failed else Status.COMPLETE,
        processed_at=datetime.now(UTC),
        failure_kind=FailureKind.REJECTED if failed else None,
        errors=("No",) if failed else (),
    )


def write(ended: list[Finished]) -> None:
    """Finish orders as an outcome does, a few at a time, with commits that take their time; some come to nothing."""
    while ended:
        batch, broken = ended[-random.randint(1, 5) :], random.random() < 0.2
        with transaction.atomic(), connection.cursor() as cursor:
            effects.finish(cursor, batch)
            cursor.execute("SELECT pg_sleep(%s)", [random.uniform(0, 0.02)])
            transaction.set_rollback(broken)
        if not broken:
            del ended[-len(batch) :]


class Reader:
    """Reads a client's feed again and again, and holds each answer against the one before."""

    def __init__(self, client_id: int, stop: threading.Event) -> None:
        self.whole: list[str] = []
        self.tail: list[str] = []
        self.answers = 0
        self._client_id = client_id
        self._stop = stop

    def read_all(self) -> None:
        """Every answer begins with the whole of the last."""
        last = False
        while not last:
            last = self._stop.is_set()
            answer = self._read(None)
            assert answer[: len(self.whole)] == self.whole
            self.whole = answer
            self.answers += 1

    def read_since(self) -> None:
        """What comes after the last event read, put together, is the whole."""
        last = False
        while not last:
            last = self._stop.is_set()
            self.tail += self._read(uuid.UUID(self.tail[-1]) if self.tail else None)

    def _read(self, since: uuid.UUID | None) -> list[str]:
        span = feed.find_span(client_id=self._client_id, since=since)
        pages = ",".join(feed.read(span, order_path="/"))
        return [event["event"] for event in json.loads(f"[{pages}]")]


def test_each_answer_begins_with_the_last_while_eight_write_with_commits_of_random_length() -> None:
    clients = [factories.make_account().id for _ in range(3)]
    ended = [finished(order_id, client) for client in clients for order_id in make_open_orders(client, 200)]
    random.shuffle(ended)
    writing_is_over = threading.Event()
    readers = [Reader(client, writing_is_over) for client in clients]

    with engine.at_once(*(read for reader in readers for read in (reader.read_all, reader.read_since))):
        with engine.at_once(*(lambda mine=ended[n::8]: write(mine) for n in range(8))):
            pass
        writing_is_over.set()

    for reader, client in zip(readers, clients, strict=True):
        told = OrderEvent.objects.filter(client=client).order_by("position")
        assert [event.position for event in told] == list(range(1, 201))
        assert reader.whole == reader.tail == [str(event.id) for event in told]
        assert reader.answers > 1
        assert Feed.objects.get(client=client).last_position == 200


def test_effects_take_a_constant_number_of_statements(account: accounts.Account) -> None:
    counts = []
    for number in (1, 100):
        ended = [finished(order_id, account.id) for order_id in make_open_orders(account.id, number)]
        with CaptureQueriesContext(connection) as sent, transaction.atomic(), connection.cursor() as cursor:
            effects.finish(cursor, ended)
        counts.append(len(sent))

    assert counts[0] == counts[1]


def test_an_order_that_is_finished_already_is_not_told_again(account: accounts.Account) -> None:
    [order_id] = make_open_orders(account.id, 1)

    for _ in range(2):
        with transaction.atomic(), connection.cursor() as cursor:
            effects.finish(cursor, [finished(order_id, account.id)])

    assert OrderEvent.objects.count() == Feed.objects.get().last_position == 1


def test_a_message_without_an_order_brings_nothing_about(account: accounts.Account) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        effects.finish(cursor, [finished(uuid.uuid4(), account.id)])

    assert not OrderEvent.objects.exists()


# ---------------------------------------------------------------- a worker that dies


def test_a_worker_killed_between_handler_and_outcome_leaves_exactly_one_event(
    account: accounts.Account, httpserver: HTTPServer, worker_process: Callable[..., processes.WorkerProcess]
) -> None:
    httpserver.expect_request("/network").respond_with_json({})
    Backend.objects.create(message_type=network.TYPE, url=httpserver.url_for("/network"))
    handlers.registry.expire()
    path = place(account)

    with feeds_locked():
        first = worker_process()
        eventually(lambda: httpserver.log, within=30, what="the call of the network")
        eventually(_waiters, what="the outcome's wait for the feed")
        first.kill()
        assert events(account) == []
    worker_process()

    eventually(lambda: events(account), within=30, what="the event")
    keys = [call.headers["Idempotency-Key"] for call, _ in httpserver.log]
    assert len(keys) > 1
    assert set(keys) == {path[-36:]}
    assert [event["order"]["path"] for event in events(account)] == [path]
    assert AccessService.objects.get().holder_id == account.id


def test_an_outcome_that_waits_too_long_is_nobodys_fault_and_written_later(account: accounts.Account) -> None:
    place(account)
    batch = engine.claim(network.TYPE)
    ended = [engine.ended(message) for message in batch.messages]

    engine.run("SET statement_timeout = '100ms'")
    with feeds_locked(), pytest.raises(OperationalError, match="timeout"):
        outcomes.flush(ended)
    engine.run("RESET statement_timeout")
    assert events(account) == []
    outcomes.flush(ended)

    assert [event["order"]["state"] for event in events(account)] == ["DONE_SUCCESS"]


@contextmanager
def feeds_locked() -> Iterator[None]:
    """Let no outcome get past its feed: what it has done stays uncommitted."""
    settings = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(**{name: settings[name] for name in names}) as lock:
        lock.execute("LOCK TABLE orders_feed IN EXCLUSIVE MODE")
        yield


def _waiters() -> int:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'orders_feed'::regclass"
    return int(engine.ask(waiting))


# ---------------------------------------------------------------- long feeds


@pytest.mark.parametrize("count", [1, feed.PAGE - 1, feed.PAGE, feed.PAGE + 1, 2 * feed.PAGE, 2 * feed.PAGE + 1])
def test_a_feed_of_any_length_is_whole(account: accounts.Account, count: int) -> None:
    fill_feed(account.id, count)

    told = events(account)

    wanted = OrderEvent.objects.filter(client=account.id).order_by("position").values_list("id", flat=True)
    assert [event["event"] for event in told] == [str(event_id) for event_id in wanted]
    assert events(account, since=told[0]["event"]) == told[1:]


def test_ten_thousand_events_in_pages_by_since_equal_the_whole(account: accounts.Account) -> None:
    fill_feed(account.id, 10_000)
    whole = events(account)

    pages: list[dict[str, Any]] = whole[:1]
    for length in (1, 10, 1_000, feed.PAGE, 4_321, 10_000):
        pages += events(account, since=pages[-1]["event"])[:length]

    assert len(whole) == 10_000
    assert pages == whole


def test_the_bound_is_fixed_when_the_answer_begins(account: accounts.Account) -> None:
    fill_feed(account.id, 3 * feed.PAGE)
    answer = get(account, EVENTS)
    assert answer.streaming

    activate(account)

    assert len(read_list(answer)) == 3 * feed.PAGE
    assert len(events(account)) == 3 * feed.PAGE + 1


def test_a_stream_holds_nothing_between_two_pages(account: accounts.Account) -> None:
    fill_feed(account.id, 4 * feed.PAGE)
    chunks = iter(get(account, EVENTS).streaming_content)

    next(chunks)

    waiting = "FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%%'"
    assert engine.ask(f"SELECT count(*) {waiting}") == 0
    assert not connection.in_atomic_block


@pytest.mark.parametrize(("count", "statements"), [(0, 1), (1, 2), (feed.PAGE, 2), (3 * feed.PAGE, 4)])
def test_statements_grow_with_pages_and_not_with_events_and_none_writes(
    account: accounts.Account, count: int, statements: int
) -> None:
    fill_feed(account.id, count)
    events(account)  # the client is known now

    with CaptureQueriesContext(
        connection,
    ) as sent:
        events(account)

    said = [query["sql"].strip() for query in sent.captured_queries if "orders_" in query["sql"]]
    assert len(said) == statements
    assert all(sql.startswith("SELECT") for sql in said)


# ---------------------------------------------------------------- facts


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE orders_orderevent SET state = 'DONE_SUCCESS'",
        "UPDATE orders_orderevent SET position = position + 1",
        "DELETE FROM orders_orderevent",
        "UPDATE orders_order SET message = 'no'",
        "DELETE FROM orders_order",
        "UPDATE orders_feed SET last_position = 0",
        "DELETE FROM orders_feed",
    ],
)
def test_what_was_told_can_not_be_changed(account: accounts.Account, statement: str) -> None:
    activate(account)

    with pytest.raises(IntegrityError, match="never"):
        engine.run(statement)
