"""What this family reads: one task.

In: a ticket. Out: the task as it is now, or whether it is running. Called by `views.py` and `startup.py`.
One statement each; no row becomes an object of Django's, and a result stays the text that is stored.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.db import connection

from tracking.native.cookie import Ticket

DOOR = "startup"


class Message(NamedTuple):
    """One service that was asked for, in the ledger's words. `result` is JSON text, once the task is finished."""

    type: str
    status: str
    failure_kind: str | None
    result: str | None


@dataclass(frozen=True, slots=True)
class Task:
    """A task as it is now; its messages in the order asked for. `asked`: how many of them are of which list."""

    is_open: bool
    is_overdue: bool
    asked: Mapping[str, int]
    mandatory: frozenset[str]
    messages: list[Message]


# By primary key, and message_in_request; at most twenty messages. Results may be long: they are read at the end only.
_TASK = """
SELECT request.open > 0, request.received_at <= statement_timestamp() - make_interval(secs => %(timeout)s),
    request.attributes::text, message.type, message.status, message.failure_kind,
    CASE WHEN request.open = 0 THEN message.result END
FROM orchestrator_request AS request JOIN orchestrator_message AS message ON message.request_id = request.id
WHERE request.id = %(id)s AND request.client_id = %(client)s AND request.door = %(door)s
    AND request.received_at > statement_timestamp() - make_interval(secs => %(expiry)s)
ORDER BY message.number
"""

# By primary key.
_RUNNING = """
SELECT 1 FROM orchestrator_request
WHERE id = %(id)s AND client_id = %(client)s AND door = %(door)s AND open > 0
    AND received_at > statement_timestamp() - make_interval(secs => %(timeout)s)
"""


def find_task(ticket: Ticket) -> Task | None:
    """Return the ticket's task; None if there is none (any more), or none that was not started too long ago."""
    rows = _run(_TASK, ticket)
    if not rows:
        return None
    is_open, is_overdue, attributes, *_ = rows[0]
    kept = orjson.loads(attributes)
    return Task(
        is_open=is_open,
        is_overdue=is_overdue,
        asked=kept["asked"],
        mandatory=frozenset(kept["mandatory"]),
        messages=[Message._make(row[3:]) for row in rows],
    )


def is_running(ticket: Ticket) -> bool:
    """Tell whether the ticket's task is neither finished nor overdue."""
    return bool(_run(_RUNNING, ticket))


def attributes(*, asked: Mapping[str, int], mandatory: frozenset[str]) -> dict[str, Any]:
    """Return what a task's request keeps for the polls to come."""
    return {"asked": dict(asked), "mandatory": sorted(mandatory)}


def _run(statement: str, ticket: Ticket) -> list[tuple[Any, ...]]:
    values: dict[str, uuid.UUID | str | float] = {
        "id": ticket.request_id,
        "client": ticket.client_id,
        "door": DOOR,
        "timeout": settings.WAYBILL_POLL_TIMEOUT_SECONDS,
        "expiry": settings.WAYBILL_POLL_EXPIRY_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
