"""What the Gateway reads: requests with their counters, and their messages.

In: a client and what it asks for. Out: rows, one statement a call. Called by `search.py` and the views.
All of the room's SQL is put together here, of the texts in `sources.py`, `filters.py` and `ordering.py`.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import connection
from psycopg.types.datetime import TimestamptzLoader

from orchestrator import following
from orchestrator.lifecycle import WORDS, Status
from tracking.gateway import filters, ordering, sources
from tracking.gateway.criteria import Criteria, Sort


class MessageRow(NamedTuple):
    """One message, as the ledger has it. `errors` is JSON text, a list of texts."""

    id: uuid.UUID
    number: int
    type: str
    external_reference: str | None
    status: str
    processed_at: datetime | None
    errors: str | None


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request: its own row, and how many of its open messages are in processing."""

    id: uuid.UUID
    door: str
    batch_reference: str | None
    received_at: datetime
    completed_at: datetime | None
    total: int
    open: int
    complete: int
    failed: int
    invalid: int
    cancelled: int
    processing: int

    def counts(self) -> dict[Status, int]:
        """Return how many of the request's messages are in each status."""
        return {
            Status.QUEUED: self.open - self.processing,
            Status.PROCESSING: self.processing,
            Status.CANCELLED: self.cancelled,
            Status.FAILED: self.failed,
            Status.INVALID: self.invalid,
            Status.COMPLETE: self.complete,
        }


@dataclass(frozen=True, slots=True)
class Head:
    """One request without its messages. `busy` and `mark`: which are in processing, and all that can change of it.

    See `orchestrator/following.py`.
    """

    request: RequestRow
    busy: int
    mark: int


@dataclass(frozen=True, slots=True)
class Found:
    """A request that a search has found, and messages of it that match, in their order.

    `position`: where it stands in the search's order; `read_at`: when it was read, by the database's clock.
    """

    request: RequestRow
    messages: list[MessageRow]
    position: ordering.Position
    read_at: datetime


# message_processing counts those in processing, in the statement that reads `open`: queued = open - processing. The
# planner puts that count off until the requests are sorted and cut, so it is paid for those that are answered only.
_REQUEST_COLUMNS = """
        request.id, request.door, request.batch_reference, request.received_at, request.completed_at,
        request.total, request.open, request.complete, request.failed, request.invalid, request.cancelled,
        CASE WHEN request.open > 0 THEN (
            SELECT count(*) FROM orchestrator_message AS busy
            WHERE busy.request_id = request.id AND busy.status = %(processing)s
        ) ELSE 0 END AS processing"""
_REQUEST_WIDTH = 12
MESSAGE_COLUMNS = """
        message.id, message.number, message.type, message.external_reference, message.status, message.processed_at,
        message.errors"""
_MESSAGE_WIDTH = 7

# Requests as `sources.py` finds them, then each one's messages by message_in_request. The requests come sorted out of
# the first part, so the whole is sorted one request at a time, and the reading ends with the last row that is wanted.
_SEARCH = """
WITH request AS MATERIALIZED (
    SELECT {request_columns}, statement_timestamp() AS read_at, {keys}
    FROM {relation}
    WHERE {condition}
    ORDER BY {order}
    {window}
)
SELECT request.*, message.*
FROM request LEFT JOIN LATERAL (
    SELECT {message_columns}
    FROM orchestrator_message AS message
    WHERE {of_message}
    ORDER BY message.number LIMIT %(rows)s
) AS message ON true
ORDER BY {order_of_columns}, message.number
LIMIT %(rows)s
"""

# By primary key and message_in_request.
_REST = """
SELECT {message_columns}
FROM orchestrator_request AS request JOIN orchestrator_message AS message ON {of_message}
WHERE request.id = %(request)s AND message.number > %(number)s
ORDER BY message.number LIMIT %(rows)s
"""

HEAD_COLUMNS = f"""
        request.id, request.door, request.batch_reference, request.received_at, request.completed_at,
        request.total, request.open, request.complete, request.failed, request.invalid, request.cancelled,
        busy.n, busy.which, {following.MARK}"""
HEAD_WIDTH = _REQUEST_WIDTH + 2

# By primary key, message_processing and message_in_request.
_REQUEST = f"""
SELECT {HEAD_COLUMNS}, {MESSAGE_COLUMNS}
FROM orchestrator_request AS request CROSS JOIN LATERAL {following.BUSY} AS busy
LEFT JOIN orchestrator_message AS message ON message.request_id = request.id
WHERE request.id = %(request)s AND request.client_id = %(client)s
ORDER BY message.number
"""  # noqa: S608 - constants of this module and the watcher's

# By primary key and message_processing.
_HEAD = f"""
SELECT {HEAD_COLUMNS}
FROM orchestrator_request AS request CROSS JOIN LATERAL {following.BUSY} AS busy
WHERE request.id = %(request)s AND request.client_id = %(client)s
"""  # noqa: S608


def find_requests(*, client_id: int, criteria: Criteria, sorts: Sequence[Sort], part: sources.Part) -> list[Found]:
    """Return requests that have a message which meets all criteria, each with its messages that do.

    A request without messages (a service that is just begun) is found as long as nothing is asked of messages. When
    `part.rows` rows come back, the last request may have more messages: see `find_rest`.
    """
    source = sources.choose(criteria, sorts, part)
    statement = _SEARCH.format(
        request_columns=_REQUEST_COLUMNS,
        message_columns=MESSAGE_COLUMNS,
        keys=source.order.columns(),
        relation=source.relation,
        condition=source.condition,
        order=source.order.text(),
        window=source.window,
        of_message=" AND ".join(filters.of_message(criteria)),
        order_of_columns=source.order.text_of_columns("request"),
    )
    values = filters.parameters(criteria) | (part.after.parameters() if part.after else {})
    window = {"take": part.take, "skip": part.skip, "rows": part.rows, "bound": part.bound}
    return _group(run(statement, values | window | {"client": client_id}), keys=len(sorts))


def find_rest(*, client_id: int, found: Found, criteria: Criteria, rows: int) -> list[MessageRow]:
    """Return the next messages of a request that meet the criteria, behind those that `found` has."""
    statement = _REST.format(message_columns=MESSAGE_COLUMNS, of_message=" AND ".join(filters.of_message(criteria)))
    values = {"client": client_id, "request": found.request.id, "number": found.messages[-1].number, "rows": rows}
    return [MessageRow._make(row) for row in run(statement, filters.parameters(criteria) | values)]


def find_request(*, client_id: int, request_id: uuid.UUID) -> tuple[Head, list[MessageRow]] | None:
    """Return a client's request with all its messages in order; None if it has no such one."""
    rows = run(_REQUEST, {"request": request_id, "client": client_id})
    return (make_head(rows[0]), _messages(rows)) if rows else None


def find_head(*, client_id: int, request_id: uuid.UUID) -> Head | None:
    """Return a client's request without its messages; None if it has no such one."""
    rows = run(_HEAD, {"request": request_id, "client": client_id})
    return make_head(rows[0]) if rows else None


def make_head(row: tuple[Any, ...]) -> Head:
    """Take a request out of a row that begins with HEAD_COLUMNS."""
    return Head(_request(row), busy=row[_REQUEST_WIDTH], mark=row[_REQUEST_WIDTH + 1])


def run(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Run one statement of this room and return its rows."""
    with connection.cursor() as cursor:
        # psycopg's own loader is C; Django's is Python, and would be the largest cost of a long answer.
        cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
        cursor.execute(statement, values | {"processing": WORDS["processing"]})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _group(rows: Iterable[tuple[Any, ...]], *, keys: int) -> list[Found]:
    found = []
    for _, of_one in groupby(rows, key=itemgetter(0)):
        mine = list(of_one)
        read_at, *values = mine[0][_REQUEST_WIDTH : _REQUEST_WIDTH + 1 + keys]
        request = _request(mine[0])
        found.append(Found(request, _messages(mine), ordering.Position(tuple(values), request.id), read_at))
    return found


def _request(row: tuple[Any, ...]) -> RequestRow:
    return RequestRow(*row[:_REQUEST_WIDTH])


def _messages(rows: Iterable[tuple[Any, ...]]) -> list[MessageRow]:
    """Take the messages out of joined rows; a request without any has one row that holds none."""
    messages = (MessageRow._make(row[-_MESSAGE_WIDTH:]) for row in rows)
    return [message for message in messages if message.id is not None]
