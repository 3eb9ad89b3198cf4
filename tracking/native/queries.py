"""What this family reads: one task.

In: a ticket. Out: the task as it is now, or whether it is running. Called by `views.py` and `startup.py`.
One statement each; no row becomes an object of Django's, and a result stays the text that is stored.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.db import connection

from orchestrator import payloads
from tracking.native.cookie import Ticket


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
# It takes longer to plan than to run, so nothing is in it that Python can do: the age is judged there.
_TASK = """
SELECT request.open, statement_timestamp() - request.received_at, request.attributes,
    message.id, message.type, message.status, message.failure_kind, CASE WHEN request.open = 0 THEN message.result END
FROM orchestrator_request AS request JOIN orchestrator_message AS message ON message.request_id = request.id
WHERE request.id = %(id)s AND request.client_id = %(client)s
ORDER BY message.number
"""

# By primary key.
_AGE = """
SELECT open, statement_timestamp() - received_at FROM orchestrator_request
WHERE id = %(id)s AND client_id = %(client)s
"""


def find_task(ticket: Ticket) -> Task | None:
    """Return the ticket's task; None if there is none (any more), and for one that was started too long ago."""
    rows = _run(_TASK, ticket)
    if not rows:
        return None
    open_messages, age, kept, *_ = rows[0]
    if age >= timedelta(seconds=settings.WAYBILL_POLL_EXPIRY_SECONDS):
        return None
    attributes = orjson.loads(kept)
    return Task(
        is_open=open_messages > 0,
        is_overdue=_is_overdue(age),
        asked=attributes["asked"],
        mandatory=frozenset(attributes["mandatory"]),
        messages=[_message(*row[3:]) for row in rows],
    )


def _message(
    message_id: uuid.UUID, message_type: str, status: str, failure_kind: str | None, result: str | None
) -> Message:
    shown = None if result is None else payloads.reveal(result, message_id=message_id, part=payloads.Part.RESULT)
    return Message(message_type, status, failure_kind, shown)


def is_running(ticket: Ticket) -> bool:
    """Tell whether the ticket's task is neither finished nor overdue."""
    return any(open_messages > 0 and not _is_overdue(age) for open_messages, age in _run(_AGE, ticket))


def attributes(*, asked: Mapping[str, int], mandatory: frozenset[str]) -> dict[str, Any]:
    """Return what a task's request keeps for the polls to come."""
    return {"asked": dict(asked), "mandatory": sorted(mandatory)}


def _is_overdue(age: timedelta) -> bool:
    return age >= timedelta(seconds=settings.WAYBILL_POLL_TIMEOUT_SECONDS)


def _run(statement: str, ticket: Ticket) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"id": ticket.request_id, "client": ticket.client_id})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
