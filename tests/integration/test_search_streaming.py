"""Unpaged searches: streamed piece by piece, whole, and holding nothing between two pieces."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from django.http import StreamingHttpResponse
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from orchestrator import accounts
from orchestrator.lifecycle import Status
from orchestrator.models import Message, Request
from tests import factories
from tests.api.calls import basic
from tests.factories import AMessage
from tracking.gateway import search

OCTOBER = datetime(2018, 10, 1, tzinfo=UTC)
COLUMNS: dict[str, tuple[str, Any]] = {
    "receivedDate": ("received_at", OCTOBER),
    "processedDate": ("completed_at", OCTOBER),
    "batchReference": ("batch_reference", ""),
}
DAY = {"by": "receivedDate", "value": "2018-10-01"}


@pytest.fixture
def account(db: None) -> accounts.Account:
    return factories.make_account()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "ROWS", 7)
    monkeypatch.setattr(search, "REQUESTS", 4)


def post(account: accounts.Account, body: Any) -> Any:
    return Browser().post(
        "/api/v1/tracking", data=json.dumps(body), content_type="application/json", headers=basic(account.client_id)
    )


def chunks(answer: Any) -> Iterator[bytes]:
    assert isinstance(answer, StreamingHttpResponse)
    return iter(answer)


def whole(answer: Any) -> Any:
    content = b"".join(answer) if answer.streaming else answer.content
    return json.loads(content)["data"]["requests"]


def make_many(account: accounts.Account, *, count: int, chance: random.Random) -> list[Request]:
    """Requests of nought to twenty messages, some at the same moment."""
    return [
        factories.make_request(
            client_id=account.id,
            received_at=OCTOBER + timedelta(minutes=chance.randrange(count)),
            batch_reference=chance.choice([None, "a", "b", "c"]),
            messages=[
                AMessage(type=chance.choice(["Echo", "Vehicle"]), status=chance.choice(list(Status)))
                for _ in range(chance.choice([0, 1, 1, 2, 6, 7, 8, 20]))
            ],
        )
        for _ in range(count)
    ]


def test_one_request_of_many_messages_comes_in_pieces(account: accounts.Account) -> None:
    large = factories.make_request(client_id=account.id, messages=[AMessage()] * (2 * search.ROWS + 1))
    small = factories.make_request(client_id=account.id, messages=[AMessage()] * 3)

    pieces = list(chunks(post(account, {})))

    found = json.loads(b"".join(pieces))["data"]["requests"]
    assert len(pieces) > 2
    assert max(map(len, pieces)) < 2 * len(pieces[0])
    assert [request["id"] for request in found] == [str(small.id), str(large.id)]
    assert [message["echoId"] for message in found[1]["payload"]] == [
        str(message.id) for message in factories.messages_of(large)
    ]


def test_what_one_statement_holds_is_one_body(account: accounts.Account) -> None:
    factories.make_request(client_id=account.id, messages=[AMessage()] * 50)

    answer = post(account, {})

    assert not answer.streaming
    assert answer["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "sorts",
    [
        [],
        [{"by": "receivedDate"}],
        [{"by": "processedDate"}],
        [{"by": "processedDate", "order": "desc"}],
        [{"by": "batchReference"}],
        [{"by": "batchReference", "order": "desc"}],
        [{"by": "batchReference"}, {"by": "receivedDate", "order": "desc"}],
    ],
)
@pytest.mark.parametrize(
    "criteria",
    [
        [],
        [{"by": "messageStatus", "value": "Failed"}],
        [{"by": "messageStatus", "value": ["Failed", "Invalid", "Cancelled"]}],
        [{"by": "messageStatus", "value": ["Processing"]}],
        [{"by": "messageStatus", "value": ["Complete", "Failed"]}, {"by": "messageType", "value": "Echo"}],
        [{"by": "externalReference", "value": ["a", "b"]}],
    ],
)
@pytest.mark.usefixtures("small_pieces")
def test_the_pieces_together_are_the_pages_together(
    account: accounts.Account, criteria: list[Any], sorts: list[Any]
) -> None:
    chance = random.Random(f"{criteria}{sorts}")
    make_many(account, count=30, chance=chance)
    asked = {"search": [DAY, *criteria], "sorts": sorts}
    one_page = {"paging": {"number": 1, "size": 1000}}
    two_pages = [{"paging": {"number": number, "size": 17}} for number in (1, 2)]

    streamed = whole(post(account, asked))

    assert streamed
    assert streamed == whole(post(account, asked | one_page))
    assert streamed == [request for page in two_pages for request in whole(post(account, asked | page))]
    assert [request["id"] for request in streamed] == expected(account, criteria, sorts)


def expected(account: accounts.Account, criteria: list[Any], sorts: list[Any]) -> list[str]:
    """The ids that a search must find, in their order, found the plain way."""
    wanted = {criterion["by"]: criterion["value"] for criterion in criteria}

    def matches(message: Message, request: Request) -> bool:
        return (
            message.status in wanted.get("messageStatus", list(Status))
            and message.type in wanted.get("messageType", message.type)
            and request.batch_reference in wanted.get("externalReference", [request.batch_reference])
        )

    found = [
        request
        for request in Request.objects.filter(client_id=account.id)
        if any(matches(message, request) for message in factories.messages_of(request)) or not (wanted or request.total)
    ]
    found.sort(key=lambda request: request.id.int, reverse=not sorts)
    for sort in reversed(sorts or [{"by": "receivedDate", "order": "desc"}]):
        key = sort_key(*COLUMNS[sort["by"]])
        found.sort(key=lambda request: key(request)[1], reverse=sort.get("order") == "desc")
        found.sort(key=lambda request: key(request)[0])
    return [str(request.id) for request in found]


def sort_key(column: str, nothing: Any) -> Callable[[Request], tuple[bool, Any]]:
    """Whether a request lacks the value, and the value."""

    def key(request: Request) -> tuple[bool, Any]:
        value = getattr(request, column)
        return value is None, nothing if value is None else value

    return key


@pytest.mark.parametrize("by", ["receivedDate", "processedDate", "batchReference"])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.usefixtures("small_pieces")
def test_what_happens_meanwhile_neither_doubles_nor_loses_a_request(
    account: accounts.Account, by: str, order: str
) -> None:
    made = make_many(account, count=20, chance=random.Random(7))
    today = [factories.make_request(client_id=account.id, messages=[AMessage(status=Status.QUEUED)]) for _ in range(10)]
    period = {"by": "receivedDate", "value": ["2018-10-01", "9999-12-31"]}

    pieces = []
    for number, piece in enumerate(chunks(post(account, {"search": [period], "sorts": [{"by": by, "order": order}]}))):
        pieces.append(piece)
        factories.make_request(client_id=account.id, messages=[AMessage()] * 3)
        finish(today[number % len(today)])

    listed = [request["id"] for request in json.loads(b"".join(pieces))["data"]["requests"]]
    assert len(listed) == len(set(listed))
    assert {str(request.id) for request in [*made, *today]} == set(listed)


def finish(request: Request) -> None:
    now = datetime.now(UTC)
    Message.objects.filter(request=request, status=Status.QUEUED).update(status=Status.COMPLETE, processed_at=now)
    Request.objects.filter(id=request.id).update(open=0, complete=1, completed_at=now)


@pytest.mark.usefixtures("small_pieces")
def test_only_reads_one_statement_a_piece(account: accounts.Account) -> None:
    make_many(account, count=10, chance=random.Random(3))
    answer = post(account, {"search": [DAY]})

    with CaptureQueriesContext(connection) as statements:
        pieces = list(chunks(answer))

    assert len(statements) == len(pieces) - 1
    assert all(statement["sql"].lstrip().startswith(("SELECT", "WITH")) for statement in statements)


@pytest.mark.parametrize("count", [1, 40])
def test_the_number_of_statements_does_not_grow_with_the_messages(account: accounts.Account, count: int) -> None:
    for _ in range(3):
        factories.make_request(client_id=account.id, messages=[AMessage()] * count)

    with CaptureQueriesContext(connection) as statements:
        post(account, {})

    about_messages = [query["sql"] for query in statements if "orchestrator_message" in query["sql"]]
    assert len(about_messages) == 1
    assert all(query["sql"].lstrip().startswith(("SELECT", "WITH")) for query in statements)


@pytest.mark.django_db(transaction=True)
def test_a_slow_reader_holds_neither_transaction_nor_snapshot(small_pieces: None) -> None:
    account = factories.make_account()
    make_many(account, count=10, chance=random.Random(5))

    reader = chunks(post(account, {"search": [DAY]}))
    next(reader)

    with other_connection() as other:
        states = other.execute(
            "SELECT state, xact_start, backend_xmin FROM pg_stat_activity WHERE pid = %s", [backend()]
        ).fetchall()
    assert states == [("idle", None, None)]


@pytest.mark.django_db(transaction=True)
def test_a_failure_in_mid_stream_is_raised_so_that_the_answer_is_cut(small_pieces: None) -> None:
    account = factories.make_account()
    make_many(account, count=10, chance=random.Random(5))

    reader = chunks(post(account, {"search": [DAY]}))
    received = next(reader)
    with other_connection() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [backend()])

    with pytest.raises(OperationalError):
        next(reader)
    assert not received.endswith(b"}]}")
    connection.close()


def backend() -> int:
    assert connection.connection is not None
    return int(connection.connection.info.backend_pid)


def other_connection() -> psycopg.Connection[Any]:
    settings = connection.settings_dict
    return psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        dbname=settings["NAME"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        autocommit=True,
    )
