"""The SQL of intake for small requests: several of one client, with all their messages, in one statement.

In: what intake decided. Out: rows. Called by intake, within its transaction.

COPY is the cheapest way in for thousands of rows, but it takes several round trips, which count where a transaction
holds a handful. Here the rows travel as JSON text: one parameter each for all requests and all messages.
"""

import functools
import itertools
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from django.db import connection, transaction

from orchestrator import storing
from orchestrator.lifecycle import EXTERNAL_DOOR, FINAL, StopReason
from orchestrator.storing import NewRequest, NewRow

Whole = tuple[NewRequest, Sequence[NewRow]]
"""A request and its messages, whose numbers are their places."""


def insert(wholes: Sequence[Whole], *, client_id: int) -> datetime:
    """Store a client's requests, and return when they were received: when the transaction began."""
    parameters: dict[str, Any] = {
        "client_id": client_id,
        "requests": _encode([_request(request) for request, _ in wholes]),
        "messages": _encode(
            [_message(request, number, row) for request, rows in wholes for number, row in enumerate(rows)]
        ),
        "external": EXTERNAL_DOOR,
        "final": sorted(FINAL),
    }
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, parameters)
        received_at: datetime = cursor.fetchone()[0]
    rows = list(itertools.chain.from_iterable(rows for _, rows in wholes))
    transaction.on_commit(functools.partial(storing.measure, rows))
    return received_at


# The foreign key is looked at when the statement is done, and finds the requests that it inserted itself.
_INSERT = """
WITH received AS (
    INSERT INTO orchestrator_request (
        id, client_id, door, batch_reference, error_policy, attributes, types, traceparent, replay_of,
        received_at, deadline_at, stopped_at, stop_reason, completed_at,
        total, open, invalid, cancelled
    )
    SELECT id, %(client_id)s, door, batch_reference, error_policy, attributes, types, traceparent, replay_of,
        now(), now() + make_interval(secs => deadline_seconds),
        CASE WHEN stop_reason IS NOT NULL THEN now() END, stop_reason,
        CASE WHEN open = 0 AND door <> %(external)s THEN now() END,
        open + invalid + cancelled, open, invalid, cancelled
    FROM json_to_recordset(%(requests)s::json) AS given (
        id uuid, door text, batch_reference text, error_policy text, attributes jsonb, types text[], traceparent text,
        replay_of uuid, deadline_seconds float8, stop_reason text, open int, invalid int, cancelled int
    )
),
stored AS (
    INSERT INTO orchestrator_message (
        id, request_id, client_id, number, turn, received_at,
        type, lane, external_reference, payload, status, errors, processed_at, payload_key_id
    )
    SELECT id, request_id, %(client_id)s, number, turn, now(),
        type, lane, external_reference, payload, status, errors, CASE WHEN status = ANY (%(final)s) THEN now() END,
        payload_key_id
    FROM json_to_recordset(%(messages)s::json) AS given (
        id uuid, request_id uuid, number int, turn bigint, type text, lane text, external_reference text, payload text,
        status text, errors jsonb, payload_key_id text
    )
)
SELECT now()
"""


def _request(request: NewRequest) -> dict[str, Any]:
    return {
        "id": request.id,
        "door": request.door,
        "batch_reference": request.batch_reference,
        "error_policy": request.error_policy.value,
        "attributes": dict(request.attributes),
        "types": request.types,
        "traceparent": request.traceparent,
        "replay_of": request.replay_of,
        "deadline_seconds": request.deadline_seconds,
        "stop_reason": StopReason.HALTED.value if request.halted else None,
        "open": request.open,
        "invalid": request.invalid,
        "cancelled": request.cancelled,
    }


def _message(request: NewRequest, number: int, row: NewRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "request_id": request.id,
        "number": number,
        "turn": row.turn,
        "type": row.type,
        "lane": row.lane,
        "external_reference": row.external_reference,
        "payload": row.payload,
        "status": row.status.value,
        "errors": list(row.errors) or None,
        "payload_key_id": row.payload_key_id,
    }


def _encode(rows: Sequence[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()
