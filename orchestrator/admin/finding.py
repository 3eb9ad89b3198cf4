"""Find requests in a ledger of any size: each search begins with an index, and looks at a bounded number of rows.

In: what somebody typed and chose. Out: a page of requests, newest first, and where the next one begins.
Called by the requests' page.

Whatever no index answers is looked for among the next `_LOOKED_THROUGH` rows of the index that serves best; the page
then says how far it has looked, and goes on from there when asked. So no search takes long, and none counts a table.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import OperationalError, connection, transaction

from orchestrator import database_errors, ids
from orchestrator.models import Request

PAGE = 50
_LOOKED_THROUGH = 20_000
_MOST_REFERENCES = 2_000
_STATEMENT_TIMEOUT = "5s"
_QUERY_CANCELED = "57014"
_CLOCK_SLACK = timedelta(minutes=5)  # an id is made before its request is received: by a wait for a lock, at most


class Standing(StrEnum):
    """How a request stands, as it is asked for at the desk."""

    UNFINISHED = "unfinished"
    WITH_FAILURES = "with failures"
    STOPPED = "stopped"
    WITHOUT_FAILURES = "finished without failures"


class TooSlow(Exception):
    """The search took too long; it must be narrowed."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for. `text`: a request's or message's id, a batch reference, an external one, or a client's id."""

    text: str = ""
    client: str = ""
    standing: Standing | None = None
    type: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A page. `next`: the id behind which the next page begins, None at the end; `looked_back_to`: see above."""

    requests: list[Request] = field(default_factory=list)
    next: uuid.UUID | None = None
    looked_back_to: datetime | None = None


def find(search: Search) -> Found:
    """Return a page of requests, newest first; raise TooSlow."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [_STATEMENT_TIMEOUT])
            return _find(search)
    except OperationalError as error:
        if database_errors.sqlstate(error) == _QUERY_CANCELED:
            raise TooSlow(TooSlow.__doc__) from error
        raise


def _find(search: Search) -> Found:
    parameters = _parameters(search)
    if search.client and parameters["client"] is None:
        return Found()  # no such client
    driver = _choose_driver(search, parameters)
    if driver is None:
        return Found()
    bounded = _is_bounded(search, driver)
    parameters["scan"] = PAGE + 1 if bounded else _LOOKED_THROUGH
    order = "received_at DESC, id DESC" if driver == _OF_CLIENT else "id DESC"  # the driver's own: nothing is sorted
    statement = f"SELECT id FROM ({driver}) AS looked WHERE {_FITS} ORDER BY {order} LIMIT %(page)s"  # noqa: S608
    found = [request_id for (request_id,) in _run(statement, parameters)]
    page, more = found[:PAGE], len(found) > PAGE
    requests = Request.objects.select_related("client").in_bulk(page)
    shown = [requests[one] for one in page if one in requests]
    if more or bounded:
        return Found(shown, next=page[-1] if more else None)
    last = _run(f"SELECT id, received_at FROM ({driver}) AS looked OFFSET %(scan)s - 1", parameters)  # noqa: S608
    [(last_id, looked_back_to)] = last or [(None, None)]
    return Found(shown, next=last_id, looked_back_to=looked_back_to)


def _parameters(search: Search) -> dict[str, Any]:
    client = _find_client(search.client) if search.client else None
    return {
        "client": client,
        "standing": search.standing and search.standing.name,
        "type": search.type or None,
        "since": search.since,
        "until": search.until,
        "before": search.before,
        "first_id": _id_at(search.since - _CLOCK_SLACK) if search.since else None,
        "last_id": _id_at(search.until + _CLOCK_SLACK) if search.until else None,
        "page": PAGE + 1,
        "ids": [],
    }


def _choose_driver(search: Search, parameters: dict[str, Any]) -> str | None:
    """Return the statement whose index leads to the fewest rows; None: nothing can be found."""
    if search.text:
        if (named := _find_client(search.text)) is not None and not search.client:
            parameters["client"] = named
        else:
            parameters["ids"] = _find_ids(search.text, parameters)
            return _BY_IDS if parameters["ids"] else None
    if search.standing in _PARTIAL:
        return _PARTIAL[search.standing]
    return _ALL if parameters["client"] is None else _OF_CLIENT


def _is_bounded(search: Search, driver: str) -> bool:
    """Tell whether every row that the driver's index leads to fits, but for what its own range sees to."""
    if search.type or search.standing is Standing.WITHOUT_FAILURES:
        return False
    return not (search.since or search.until) if driver != _OF_CLIENT else search.standing is None


def _find_client(client_id: str) -> int | None:
    rows = _run("SELECT id FROM orchestrator_client WHERE client_id = %(client_id)s", {"client_id": client_id})
    return int(rows[0][0]) if rows else None


def _find_ids(text: str, parameters: dict[str, Any]) -> list[uuid.UUID]:
    """Return the ids of the requests that a text may mean."""
    wanted = {"text": text, "client": parameters["client"], "limit": _MOST_REFERENCES}
    found = {request_id for (request_id,) in _run(_BY_REFERENCE, wanted)}
    if (as_id := ids.parse(text)) is not None:
        found |= {as_id} | {request_id for (request_id,) in _run(_OF_MESSAGE, {"id": as_id})}
    return sorted(found)


def _id_at(at: datetime) -> uuid.UUID:
    """Return the smallest UUIDv7 of a millisecond (RFC 9562 §5.7)."""
    milliseconds = max(0, min(int(at.timestamp() * 1000), 2**48 - 1))
    return uuid.UUID(int=milliseconds << 80)


def _run(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


# What a driver's index did not see to.
_FITS = """
(%(client)s::bigint IS NULL OR client_id = %(client)s)
AND (%(type)s::text IS NULL OR types @> ARRAY[%(type)s])
AND (%(since)s::timestamptz IS NULL OR received_at >= %(since)s)
AND (%(until)s::timestamptz IS NULL OR received_at <= %(until)s)
AND CASE %(standing)s::text
    WHEN 'UNFINISHED' THEN open > 0
    WHEN 'WITH_FAILURES' THEN failed > 0
    WHEN 'STOPPED' THEN stopped_at IS NOT NULL
    WHEN 'WITHOUT_FAILURES' THEN open = 0 AND failed + invalid + cancelled = 0
    ELSE true END
"""

_RANGE = """
(%(before)s::uuid IS NULL OR id < %(before)s)
AND (%(first_id)s::uuid IS NULL OR id >= %(first_id)s) AND (%(last_id)s::uuid IS NULL OR id <= %(last_id)s)
"""

# By primary key, backwards: ids ascend with time.
_ALL = f"SELECT * FROM orchestrator_request WHERE {_RANGE} ORDER BY id DESC LIMIT %(scan)s"  # noqa: S608

# By request_received, whose order this is.
_OF_CLIENT = """
SELECT * FROM orchestrator_request WHERE client_id = %(client)s
  AND (%(before)s::uuid IS NULL OR (received_at, id) < (
      (SELECT received_at FROM orchestrator_request WHERE id = %(before)s), %(before)s))
  AND received_at >= coalesce(%(since)s::timestamptz, '-infinity')
  AND received_at <= coalesce(%(until)s::timestamptz, 'infinity')
ORDER BY received_at DESC, id DESC LIMIT %(scan)s
"""

_BY_IDS = """
SELECT * FROM orchestrator_request WHERE id = ANY (%(ids)s) AND (%(before)s::uuid IS NULL OR id < %(before)s)
ORDER BY id DESC LIMIT %(scan)s
"""

# One look into a partial index a client, backwards: request_open, request_with_failures, request_stopped.
_BY_STANDING = """
SELECT request.* FROM (
    SELECT id FROM orchestrator_client WHERE %(client)s::bigint IS NULL OR id = %(client)s
) AS client CROSS JOIN LATERAL (
    SELECT * FROM orchestrator_request WHERE client_id = client.id AND {predicate} AND {range}
    ORDER BY id DESC LIMIT %(scan)s
) AS request ORDER BY request.id DESC LIMIT %(scan)s
"""
_PARTIAL = {
    Standing.UNFINISHED: _BY_STANDING.format(predicate="open > 0", range=_RANGE),
    Standing.WITH_FAILURES: _BY_STANDING.format(predicate="failed > 0", range=_RANGE),
    Standing.STOPPED: _BY_STANDING.format(predicate="stopped_at IS NOT NULL", range=_RANGE),
}

# By request_batch_reference and message_external_reference, one look a client.
_BY_REFERENCE = """
SELECT found.id FROM (
    SELECT id FROM orchestrator_client WHERE %(client)s::bigint IS NULL OR id = %(client)s
) AS client CROSS JOIN LATERAL (
    (SELECT id FROM orchestrator_request WHERE client_id = client.id AND batch_reference = %(text)s LIMIT %(limit)s)
    UNION
    (SELECT request_id FROM orchestrator_message
     WHERE client_id = client.id AND external_reference = %(text)s LIMIT %(limit)s)
) AS found LIMIT %(limit)s
"""

# By primary key.
_OF_MESSAGE = "SELECT request_id FROM orchestrator_message WHERE id = %(id)s"
