"""The plans of the windows' statements on a ledger of some size: each starts from its index, and nothing is scanned."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from orchestrator.lifecycle import WORDS
from orchestrator.models import Client, Message, Request
from tests import factories
from tracking.gateway import criteria, queries, search, sources
from tracking.status import queries as status_queries

pytestmark = pytest.mark.django_db

DAYS = 30
LEDGER = "orchestrator_message", "orchestrator_request"

# 4,000 requests of one message, 600 of ten and 10 of a thousand, one every ten minutes; most messages are Complete.
_MAKE = """
CREATE TEMPORARY TABLE made AS
WITH size (messages) AS (
    SELECT 1 FROM generate_series(1, 4000)
    UNION ALL SELECT 10 FROM generate_series(1, 600)
    UNION ALL SELECT 1000 FROM generate_series(1, 10)
), request AS MATERIALIZED (
    SELECT uuidv7() AS request_id, row_number() OVER (ORDER BY random()) AS n, messages FROM size
)
SELECT request_id, n, number, CASE WHEN messages = 1 THEN request_id ELSE uuidv7() END AS id,
    now() - n * interval '30 days' / 4610 AS received_at,
    (ARRAY['Opportunity', 'Estimate', 'Vehicle', 'Customer', 'Echo'])[1 + mod(n + number, 5)] AS type,
    CASE WHEN n <= 5 THEN %(queued)s ELSE
        (ARRAY[%(invalid)s, %(cancelled)s, %(failed)s, %(failed)s, %(complete)s])[least(5, 1 + floor(random() * 50))]
    END AS status
FROM request, generate_series(0, messages - 1) AS number
"""
_FILL_REQUESTS = """
INSERT INTO orchestrator_request (id, client_id, door, batch_reference, error_policy, types, received_at, completed_at,
    total, open, complete, failed, invalid, cancelled)
SELECT request_id, %(client)s, 'requests', 'batch ' || request_id, 'proceedOnError', array_agg(DISTINCT type),
    min(received_at), CASE WHEN min(n) > 5 THEN min(received_at) END,
    count(*), count(*) FILTER (WHERE status = %(queued)s), count(*) FILTER (WHERE status = %(complete)s),
    count(*) FILTER (WHERE status = %(failed)s), count(*) FILTER (WHERE status = %(invalid)s),
    count(*) FILTER (WHERE status = %(cancelled)s)
FROM made GROUP BY request_id
"""
_FILL_MESSAGES = """
INSERT INTO orchestrator_message (id, request_id, client_id, number, type, lane, turn, external_reference, payload,
    status, failure_kind, received_at, processed_at)
SELECT id, request_id, %(client)s, number, type, type, number, 'ref ' || request_id || ' ' || number, '{}',
    status, CASE WHEN status = %(failed)s THEN 'rejected' END, received_at,
    CASE WHEN status <> %(queued)s THEN received_at END
FROM made
"""


@pytest.fixture(scope="module")
def client_id(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[int]:
    """A client with 20,000 messages, for all tests of this module."""
    with django_db_blocker.unblock():
        client = factories.make_client()
        try:
            with connection.cursor() as cursor:
                for statement in (_MAKE, _FILL_REQUESTS, _FILL_MESSAGES, "DROP TABLE made"):
                    cursor.execute(statement, WORDS | {"client": client.pk})
                cursor.execute("VACUUM ANALYZE orchestrator_request, orchestrator_message")
            yield client.pk
        finally:
            Message.objects.all().delete()
            Request.objects.all().delete()
            Client.objects.all().delete()


def day(days_ago: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days_ago)).date().isoformat()


WEEK = ("receivedDate", [day(7), day(0)])
SEARCHES: dict[str, tuple[list[tuple[str, Any]], str]] = {
    "by type, status and day": (
        [("messageType", "Estimate"), ("messageStatus", "Failed"), ("receivedDate", day(3))],
        "message_unsuccessful",
    ),
    "by type, a common status and day": (
        [("messageType", "Estimate"), ("messageStatus", "Complete"), ("receivedDate", day(3))],
        "request_received",
    ),
    "failed this week": ([("messageStatus", "Failed"), WEEK], "message_unsuccessful"),
    "whatever went wrong this week": (
        [("messageStatus", ["Failed", "Invalid", "Cancelled"]), WEEK],
        "message_unsuccessful",
    ),
    "by batch reference": ([("externalReference", "batch {request}")], "request_batch_reference"),
    "by message reference": ([("externalReference", "ref {request} 0")], "message_external_reference"),
    "by id": ([("id", "{request}")], "orchestrator_request_pkey"),
    "in processing": ([("messageStatus", "Processing")], "message_processing"),
    # Today's: the planner's choice between the two hangs on how many it takes to be open.
    "queued": ([("messageStatus", "Queued")], "request_open or request_received"),
    "today": ([], "request_received"),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_starts_from_its_index_and_scans_nothing(client_id: int, name: str) -> None:
    asked, index = SEARCHES[name]

    plan = plan_of_search(client_id, asked)

    assert scanned(plan) == []
    assert indexes(plan) & set(index.split(" or "))


@pytest.mark.parametrize("name", SEARCHES)
def test_the_messages_of_a_page_are_read_request_by_request(client_id: int, name: str) -> None:
    plan = plan_of_search(client_id, SEARCHES[name][0])

    joins = [node for node in nodes(plan) if node["Node Type"] in {"Hash Join", "Merge Join"}]
    assert joins == []
    assert indexes(plan) & {"message_in_request", "message_processing", "message_unsuccessful"}


def test_the_walk_along_what_went_wrong_ends_with_the_page(client_id: int) -> None:
    plan = plan_of_search(client_id, [("messageStatus", "Failed"), ("receivedDate", [day(DAYS), day(0)])], analyze=True)

    [walk] = walks(plan, "message_unsuccessful")
    matching = Message.objects.filter(client_id=client_id, status=WORDS["failed"]).count()
    assert walk["Actual Rows"] * walk["Actual Loops"] < matching / 2


@pytest.mark.parametrize(
    ("asked", "index"),
    [([WEEK], "request_received"), ([("messageStatus", "Failed"), WEEK], "message_unsuccessful")],
)
def test_an_unpaged_search_goes_on_from_where_it_was(client_id: int, asked: list[tuple[str, Any]], index: str) -> None:
    wanted = read(asked, paging=None)

    def find(part: sources.Part) -> list[queries.Found]:
        return queries.find_requests(client_id=client_id, criteria=wanted.criteria, sorts=wanted.sorts, part=part)

    last = find(sources.Part(rows=10_000, take=5))[-1]
    plan = explain(lambda: find(sources.Part(rows=2000, take=10, after=last.position, bound=last.read_at)))

    assert scanned(plan) == []
    [walk] = walks(plan, index)
    # It begins behind the last request, rather than passing over all before it.
    assert f"{last.request.received_at:%Y-%m-%d %H:%M:%S.%f}".rstrip("0") in walk["Index Cond"]


def test_a_single_request_is_read_by_its_keys(client_id: int) -> None:
    request_id = Request.objects.values_list("id", flat=True)[0]

    plan = explain(lambda: queries.find_request(client_id=client_id, request_id=request_id))

    assert scanned(plan) == []
    assert indexes(plan) >= {"orchestrator_request_pkey", "message_in_request"}


def test_a_page_of_request_status_is_read_by_its_keys(client_id: int) -> None:
    request_id = Request.objects.filter(total=1000).values_list("id", flat=True)[0]

    plan = explain(lambda: status_queries.find_page(client_id=client_id, wanted=request_id, page=3, size=10))

    assert scanned(plan) == []
    assert indexes(plan) >= {"orchestrator_request_pkey", "message_in_request"}
    assert not [node for node in nodes(plan) if node["Node Type"] == "Bitmap Heap Scan"]


def read(asked: list[tuple[str, Any]], *, paging: dict[str, int] | None) -> criteria.Search:
    request_id = str(Request.objects.values_list("id", flat=True)[0])
    body: dict[str, Any] = {"search": [{"by": by, "value": filled(value, request_id)} for by, value in asked]}
    if paging:
        body["paging"] = paging
    return criteria.read(json.dumps(body).encode(), now=datetime.now(UTC))


def filled(value: Any, request_id: str) -> Any:
    return value.format(request=request_id) if isinstance(value, str) else value


def plan_of_search(client_id: int, asked: list[tuple[str, Any]], *, analyze: bool = False) -> dict[str, Any]:
    wanted = read(asked, paging={"number": 1, "size": 10})
    return explain(lambda: next(search.run(wanted, client_id=client_id)), analyze=analyze)


def explain(work: Any, *, analyze: bool = False) -> dict[str, Any]:
    """The plan of the one statement that `work` runs."""
    with CaptureQueriesContext(connection) as statements:
        work()
    [statement] = statements
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON, ANALYZE {analyze}) {statement['sql']}")
        [(plan,)] = cursor.fetchall()
    return dict((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def scanned(plan: dict[str, Any]) -> list[str]:
    return [
        node["Relation Name"]
        for node in nodes(plan)
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in LEDGER
    ]


def indexes(plan: dict[str, Any]) -> set[str]:
    return {node["Index Name"] for node in nodes(plan) if "Index Name" in node}


def walks(plan: dict[str, Any], index: str) -> list[dict[str, Any]]:
    """Where the plan goes along a stretch of the index, rather than looking one request up in it."""
    return [node for node in nodes(plan) if node.get("Index Name") == index and "received_at >=" in node["Index Cond"]]
