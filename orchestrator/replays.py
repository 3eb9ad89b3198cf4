"""The SQL of replays: what failed, what was replayed already, and the links between originals and copies.

In: ids, a type and a time. Out: rows. Called by replaying, and by the desk's pages.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from django.db import connection

from orchestrator import payloads
from orchestrator.lifecycle import WORDS, ErrorPolicy, Status


class Candidate(NamedTuple):
    """A message that somebody wants replayed, with what its copy's request takes from its own."""

    id: uuid.UUID
    request_id: uuid.UUID
    client_id: int
    door: str
    batch_reference: str | None
    error_policy: ErrorPolicy
    type: str
    status: Status
    processed_at: datetime | None
    payload_bytes: int


class Original(Protocol):
    """Any row that names a message and its request."""

    @property
    def id(self) -> uuid.UUID:
        """The message's id."""

    @property
    def request_id(self) -> uuid.UUID:
        """Its request's."""


class Payload(NamedTuple):
    """What a copy takes from its original."""

    type: str
    external_reference: str | None
    payload: str


class Link(NamedTuple):
    """Another request, and how many messages lead there or come from there."""

    request_id: uuid.UUID
    messages: int


def lock() -> None:
    """Let nobody else replay anything until this transaction has ended: replays are rare, and few at a time."""
    _run("SELECT pg_advisory_xact_lock(hashtextextended('waybill: replay', 0))", {})


def read_clock() -> datetime:
    """Return the time by the database's clock, which is also that of every outcome."""
    [[now]] = _run("SELECT statement_timestamp()", {})
    return now  # type: ignore[no-any-return]


def find_message(message_id: uuid.UUID) -> Candidate | None:
    """Return one message, whatever its status."""
    found = _candidates(_ONE, {"id": message_id})
    return found[0] if found else None


def find_failed(request_id: uuid.UUID) -> list[Candidate]:
    """Return the failed messages of a request, in their order."""
    return _candidates(_OF_REQUEST, {"request_id": request_id, **WORDS})


def has_request(request_id: uuid.UUID) -> bool:
    """Tell whether there is such a request."""
    return bool(_run("SELECT 1 FROM orchestrator_request WHERE id = %(id)s", {"id": request_id}))


def find_failures(
    message_type: str, *, since: datetime, until: datetime, after: Candidate | None, limit: int, again: bool
) -> list[Candidate]:
    """Return a type's failures from a time, as they failed, behind the last of the page before; none of them twice.

    Without `again` those that were replayed already are left out.
    """
    parameters = {
        "type": message_type,
        "since": since,
        "until": until,
        "after_at": after.processed_at if after else since,
        "after_id": after.id if after else uuid.UUID(int=0),
        "limit": limit,
        "again": again,
        **WORDS,
    }
    return _candidates(_FAILURES, parameters)


def count_failures(message_type: str, *, since: datetime, again: bool, limit: int) -> int:
    """Count a type's failures from a time, as far as `limit`; without `again` those that have no copy."""
    parameters = {"type": message_type, "since": since, "limit": limit, "again": again, **WORDS}
    return int(_run(_COUNT_FAILURES, parameters)[0][0])


def find_payloads(message_ids: Sequence[uuid.UUID]) -> list[Payload]:
    """Return what the copies take, in the order of the ids."""
    return [
        Payload(message_type, reference, payloads.reveal(kept, message_id=message_id, part=payloads.Part.PAYLOAD))
        for message_id, message_type, reference, kept in _run(_PAYLOADS, {"ids": list(message_ids)})
    ]


def find_copies(originals: Iterable[Original]) -> dict[uuid.UUID, list[uuid.UUID]]:
    """Return the requests that hold copies, by the original message's id."""
    wanted = list(originals)
    rows = _run(_COPIES, {"requests": [one.request_id for one in wanted], "messages": [one.id for one in wanted]})
    found: dict[uuid.UUID, list[uuid.UUID]] = {}
    for original, copy_request in rows:
        found.setdefault(original, []).append(copy_request)
    return found


def find_original(message_id: uuid.UUID) -> tuple[uuid.UUID, uuid.UUID] | None:
    """Return the id of the message that this one copies, and its request's; None if it copies none."""
    found = _run(_ORIGINAL, {"id": message_id})
    return (found[0][0], found[0][1]) if found else None


def link(pairs: Iterable[tuple[Candidate, uuid.UUID]], *, request_id: uuid.UUID) -> None:
    """Link originals with their copies, all of which are of one new request."""
    linked = list(pairs)
    _run(
        _LINK,
        {
            "copies": [copy for _, copy in linked],
            "request": request_id,
            "originals": [original.id for original, _ in linked],
            "requests": [original.request_id for original, _ in linked],
        },
        answers=False,
    )


def find_replays(request_id: uuid.UUID) -> list[Link]:
    """Return the requests that hold copies of this one's messages, oldest first."""
    return [Link._make(row) for row in _run(_REPLAYS, {"id": request_id})]


def find_origins(request_id: uuid.UUID) -> list[Link]:
    """Return the requests whose messages this one copies, oldest first; at most a hundred."""
    return [Link._make(row) for row in _run(_ORIGINS, {"id": request_id})]


def _candidates(statement: str, parameters: dict[str, Any]) -> list[Candidate]:
    rows = (Candidate._make(row) for row in _run(statement, parameters))
    return [row._replace(status=Status(row.status), error_policy=ErrorPolicy(row.error_policy)) for row in rows]


def _run(statement: str, parameters: dict[str, Any], *, answers: bool = True) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall()) if answers else []


_COLUMNS = """
SELECT message.id, message.request_id, message.client_id, request.door, request.batch_reference, request.error_policy,
    message.type, message.status, message.processed_at, octet_length(message.payload)
FROM orchestrator_message AS message JOIN orchestrator_request AS request ON request.id = message.request_id
"""

# By primary key.
_ONE = _COLUMNS + "WHERE message.id = %(id)s"

# By message_in_request.
_OF_REQUEST = (
    _COLUMNS + "WHERE message.request_id = %(request_id)s AND message.status = %(failed)s ORDER BY message.number"
)

# One look into replayed_originals a failure.
_WANTED = """(%(again)s OR NOT EXISTS (
      SELECT FROM orchestrator_replayedmessage
      WHERE original_request_id = message.request_id AND original_id = message.id
  ))"""

# A page of message_failures, in its order.
_FAILURES = f"""{_COLUMNS}
WHERE message.type = %(type)s AND message.status = %(failed)s
  AND message.processed_at >= %(since)s AND message.processed_at <= %(until)s
  AND (message.processed_at, message.id) > (%(after_at)s, %(after_id)s)
  AND {_WANTED}
ORDER BY message.processed_at, message.id LIMIT %(limit)s
"""

# The same index, no further than the limit.
_COUNT_FAILURES = f"""
SELECT count(*) FROM (
    SELECT FROM orchestrator_message AS message
    WHERE type = %(type)s AND status = %(failed)s AND processed_at >= %(since)s
      AND {_WANTED}
    LIMIT %(limit)s
) AS counted
"""  # noqa: S608 - the pieces are ours

# By primary key.
_PAYLOADS = """
SELECT message.id, message.type, message.external_reference, message.payload
FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS wanted (id, place)
JOIN orchestrator_message AS message ON message.id = wanted.id
ORDER BY wanted.place
"""

# By replayed_originals.
_COPIES = """
SELECT replayed.original_id, replayed.copy_request_id
FROM unnest(%(requests)s::uuid[], %(messages)s::uuid[]) AS wanted (request_id, message_id)
JOIN orchestrator_replayedmessage AS replayed
  ON replayed.original_request_id = wanted.request_id AND replayed.original_id = wanted.message_id
ORDER BY replayed.copy_id
"""

# By primary key.
_ORIGINAL = "SELECT original_id, original_request_id FROM orchestrator_replayedmessage WHERE copy_id = %(id)s"

_LINK = """
INSERT INTO orchestrator_replayedmessage (copy_id, copy_request_id, original_id, original_request_id)
SELECT copy_id, %(request)s, original_id, original_request_id
FROM unnest(%(copies)s::uuid[], %(originals)s::uuid[], %(requests)s::uuid[])
    AS linked (copy_id, original_id, original_request_id)
"""

# By replayed_originals; ids ascend with time.
_REPLAYS = """
SELECT copy_request_id, count(*) FROM orchestrator_replayedmessage WHERE original_request_id = %(id)s
GROUP BY copy_request_id ORDER BY copy_request_id LIMIT 100
"""

# By replayed_copies.
_ORIGINS = """
SELECT original_request_id, count(*) FROM orchestrator_replayedmessage WHERE copy_request_id = %(id)s
GROUP BY original_request_id ORDER BY original_request_id LIMIT 100
"""
