"""The SQL of intake: a request and all its messages into the ledger, in a constant number of statements.

In: what intake decided. Out: rows. Called by intake, within its transaction.
"""

import functools
import json
import struct
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction

from orchestrator import measures
from orchestrator.lifecycle import EXTERNAL_DOOR, FINAL, UNSUCCESSFUL, ErrorPolicy, Status, StopReason
from orchestrator.measures import Event


@dataclass(frozen=True, slots=True)
class NewRequest:
    """The row of a request; `deadline_seconds` count from its receipt."""

    id: uuid.UUID
    client_id: int
    door: str
    batch_reference: str | None
    error_policy: ErrorPolicy
    attributes: Mapping[str, Any]
    types: Sequence[str]
    traceparent: str | None
    deadline_seconds: float | None
    replay_of: uuid.UUID | None
    halted: bool
    open: int
    invalid: int
    cancelled: int


class NewRow(NamedTuple):
    """The row of a message; its number is its place in the list."""

    id: uuid.UUID
    type: str
    lane: str
    turn: int
    external_reference: str | None
    payload: str
    status: Status
    errors: Sequence[str]
    payload_key_id: str | None = None


def count_open_requests(*, client_id: int, limit: int) -> int:
    """Count a client's open requests, as far as `limit`; services are as long open as their owner likes."""
    with connection.cursor() as cursor:
        parameters: dict[str, Any] = {"client_id": client_id, "limit": limit, "external": EXTERNAL_DOOR}
        cursor.execute(_COUNT_OPEN, parameters)
        return int(cursor.fetchone()[0])


def lock_references(*, client_id: int) -> None:
    """Let nobody else look for this client's duplicates until this transaction has ended."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_REFERENCES, {"client_id": client_id})


def find_held(*, client_id: int, references: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those (type, external reference) that a message of the client holds already."""
    wanted = sorted(set(references))
    parameters: dict[str, Any] = {
        "client_id": client_id,
        "types": [message_type for message_type, _ in wanted],
        "references": [reference for _, reference in wanted],
        "unsuccessful": sorted(UNSUCCESSFUL),
    }
    with connection.cursor() as cursor:
        cursor.execute(_FIND_HELD, parameters)
        return set(cursor.fetchall())


def insert_request(request: NewRequest) -> datetime:
    """Insert the request, and return when it was received: when the transaction began, by the database's clock."""
    parameters: dict[str, Any] = {
        "id": request.id,
        "client_id": request.client_id,
        "door": request.door,
        "batch_reference": request.batch_reference,
        "error_policy": request.error_policy.value,
        "attributes": json.dumps(dict(request.attributes)),
        "types": list(request.types),
        "traceparent": request.traceparent,
        "deadline": request.deadline_seconds,
        "replay_of": request.replay_of,
        "stop_reason": StopReason.HALTED.value if request.halted else None,
        "open": request.open,
        "invalid": request.invalid,
        "cancelled": request.cancelled,
        "external": EXTERNAL_DOOR,
    }
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_REQUEST, parameters)
        received_at: datetime = cursor.fetchone()[0]
        return received_at


def copy_messages(rows: Sequence[NewRow], *, request_id: uuid.UUID, client_id: int, received_at: datetime) -> None:
    """Store the messages of a request, numbered from 0, by one COPY."""
    encoded = _encode(rows, request_id=request_id, client_id=client_id, received_at=received_at)
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(_COPY) as copy:
        copy.write(b"".join(encoded))
    transaction.on_commit(functools.partial(measure, rows))


def measure(rows: Sequence[NewRow]) -> None:
    """Count what has been stored, once it is committed."""
    for (message_type, lane, status), n in Counter((row.type, row.lane, row.status) for row in rows).items():
        measures.count(Event.RECEIVED, n, of_type=message_type, lane=lane)
        if status in FINAL:
            measures.observe(measures.final(status), [0.0] * n, of_type=message_type, lane=lane)


def has_request(request_id: uuid.UUID) -> bool:
    """Tell whether the request stands in the ledger."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM orchestrator_request WHERE id = %s", [request_id])  # by primary key
        return cursor.fetchone() is not None


# By request_open; the limit keeps a client with a million open requests from being counted on each POST.
_COUNT_OPEN = """
SELECT count(*) FROM (
    SELECT 1 FROM orchestrator_request WHERE client_id = %(client_id)s AND open > 0 AND door <> %(external)s
    LIMIT %(limit)s
) AS seen
"""

_LOCK_REFERENCES = "SELECT pg_advisory_xact_lock(hashtextextended('waybill: duplicatePolicy', %(client_id)s))"

# LATERAL with LIMIT can't be flattened into a hash join: one look into message_external_reference a reference, however
# large the ledger is and whatever the planner thinks of it.
_FIND_HELD = """
SELECT wanted.type, wanted.reference
FROM unnest(%(types)s::text[], %(references)s::text[]) AS wanted (type, reference)
CROSS JOIN LATERAL (
    SELECT 1 FROM orchestrator_message
    WHERE client_id = %(client_id)s AND external_reference = wanted.reference AND type = wanted.type
      AND status <> ALL (%(unsuccessful)s)
    LIMIT 1
) AS held
"""

_INSERT_REQUEST = """
INSERT INTO orchestrator_request (
    id, client_id, door, batch_reference, error_policy, attributes, types, traceparent, replay_of,
    received_at, deadline_at, stopped_at, stop_reason, completed_at,
    total, open, invalid, cancelled
) VALUES (
    %(id)s, %(client_id)s, %(door)s, %(batch_reference)s, %(error_policy)s, %(attributes)s::jsonb, %(types)s::text[],
    %(traceparent)s, %(replay_of)s,
    now(), now() + make_interval(secs => %(deadline)s::float8),
    CASE WHEN %(stop_reason)s::text IS NOT NULL THEN now() END, %(stop_reason)s,
    CASE WHEN %(open)s = 0 AND %(door)s <> %(external)s THEN now() END,
    %(open)s + %(invalid)s + %(cancelled)s, %(open)s, %(invalid)s, %(cancelled)s
) RETURNING received_at
"""

# Columns of fixed size first: they are packed at one go. Binary needs no escaping and less parsing on the server.
_COPY = """
COPY orchestrator_message (
    id, request_id, client_id, number, turn, received_at,
    type, lane, external_reference, payload, status, errors, processed_at, payload_key_id
) FROM STDIN (FORMAT binary)
"""
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_TRAILER = struct.pack(">h", -1)
_COLUMNS = 14
_FIXED = struct.Struct(">h i16s i16s iq ii iq iq".replace(" ", ""))
_INT = struct.Struct(">i")
_NULL = _INT.pack(-1)
_JSONB_VERSION = b"\x01"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def _encode(rows: Sequence[NewRow], *, request_id: uuid.UUID, client_id: int, received_at: datetime) -> Iterator[bytes]:
    """Yield the rows in COPY's binary format (PostgreSQL's documentation, COPY, "Binary Format")."""
    received = (received_at - _EPOCH) // timedelta(microseconds=1)
    processed = struct.pack(">iq", 8, received)
    request_bytes = request_id.bytes
    statuses = {status: _text(status.value) for status in Status}
    yield _SIGNATURE
    for number, row in enumerate(rows):
        yield _FIXED.pack(
            _COLUMNS, 16, row.id.bytes, 16, request_bytes, 8, client_id, 4, number, 8, row.turn, 8, received
        )
        yield _text(row.type)
        yield _text(row.lane)
        yield _NULL if row.external_reference is None else _text(row.external_reference)
        yield _text(row.payload)
        yield statuses[row.status]
        yield _field(_JSONB_VERSION + json.dumps(row.errors).encode()) if row.errors else _NULL
        yield processed if row.status in FINAL else _NULL
        yield _NULL if row.payload_key_id is None else _text(row.payload_key_id)
    yield _TRAILER


def _text(value: str) -> bytes:
    return _field(value.encode())


def _field(value: bytes) -> bytes:
    return _INT.pack(len(value)) + value
