"""The SQL of flows: services, states and external tasks, begun and ended.

In: what flows decided. Out: rows. Called by flows, within its transaction; the request's row is locked by then.
"""

import uuid
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.backends.utils import CursorWrapper

from orchestrator.finishing import Finished
from orchestrator.lifecycle import WORDS, Status
from orchestrator.stages import Kind, Owner, Stage

_TABLES = {
    Kind.SERVICE: "orchestrator_service",
    Kind.STATE: "orchestrator_state",
    Kind.TASK: "orchestrator_task",
}


class Locked(NamedTuple):
    """A service whose request's row is locked. `now`: the database's clock, in whole milliseconds."""

    id: uuid.UUID
    client_id: int
    received_at: datetime
    total: int
    completed_at: datetime | None
    now: datetime
    transaction: str


class Found(NamedTuple):
    """What must be known of a span before it is changed."""

    completed_at: datetime | None
    extensions: str


@dataclass(frozen=True, slots=True)
class Begun:
    """The columns of a span that begins."""

    type: str
    est_duration: str | None
    started_at: datetime
    started: str
    extensions: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The columns of a span that ends. None of `extensions`: they stay."""

    completed_at: datetime
    completed: str
    disposition: str | None = None
    disposition_desc: str | None = None
    extensions: str | None = None


@dataclass(frozen=True, slots=True)
class Updated:
    """The columns of a service that are told anew; None leaves what is there."""

    type: str | None
    est_duration: str | None
    started_at: datetime | None
    started: str | None
    extensions: str


def lock(cursor: CursorWrapper, *, client_id: int, request_id: uuid.UUID) -> str | None:
    """Lock a client's request and return the door it came through; None if the client has no such request."""
    cursor.execute(_LOCK, {"request": request_id, "client": client_id})
    found = cursor.fetchone()
    return found[0] if found else None


def read_locked(cursor: CursorWrapper, request_id: uuid.UUID) -> Locked:
    """Return the service as it is, now that nobody else changes it."""
    cursor.execute(_READ_LOCKED, {"request": request_id})
    return Locked._make(cursor.fetchone())


def read_clock(cursor: CursorWrapper) -> datetime:
    """Return the database's time, in whole milliseconds."""
    cursor.execute("SELECT date_trunc('milliseconds', statement_timestamp())")
    now: datetime = cursor.fetchone()[0]
    return now


def is_committed(transaction: str) -> bool:
    """Tell whether a transaction of a moment ago was committed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_xact_status(%s::xid8) = 'committed'", [transaction])
        return bool(cursor.fetchone()[0])


def find(cursor: CursorWrapper, stage: Stage, *, request_id: uuid.UUID) -> Found | None:
    """Return a service, or a state or task of it; None if there is none of that number."""
    _run(cursor, _FIND, stage, {"request": request_id})
    found = cursor.fetchone()
    return Found._make(found) if found else None


def insert_service(cursor: CursorWrapper, row: Begun, *, request_id: uuid.UUID, client_id: int, owner: Owner) -> None:
    """Insert a service beside its request."""
    cursor.execute(_INSERT_SERVICE, asdict(row) | asdict(owner) | {"request": request_id, "client": client_id})


def insert_state(cursor: CursorWrapper, row: Begun, *, request_id: uuid.UUID, previous: int | None) -> int:
    """Insert a state and return its number, the next within the service."""
    cursor.execute(_INSERT_STATE, asdict(row) | {"request": request_id, "previous": previous})
    number: int = cursor.fetchone()[0]
    return number


def insert_task(
    cursor: CursorWrapper, row: Begun, *, service: Locked, message_id: uuid.UUID, message_type: str, state: int | None
) -> int:
    """Insert an external task with its message, count it in its request, and return its number."""
    message: dict[str, Any] = {
        "message": message_id,
        "request": service.id,
        "client": service.client_id,
        "received_at": service.received_at,
        "number": service.total,
        "state": state,
        "message_type": message_type,
    }
    cursor.execute(_INSERT_TASK, asdict(row) | message | WORDS)
    return service.total


def end(cursor: CursorWrapper, stage: Stage, row: Ended, *, request_id: uuid.UUID) -> None:
    """End a service, or a state or task of it, and nothing within it."""
    _run(cursor, _END, stage, asdict(row) | {"request": request_id})


def end_open_states(cursor: CursorWrapper, row: Ended, *, request_id: uuid.UUID) -> None:
    """End all states of a service that are open."""
    cursor.execute(_END_STATES, asdict(row) | {"request": request_id})


def end_open_tasks(
    cursor: CursorWrapper, row: Ended, *, request_id: uuid.UUID, state: int | None = None, number: int | None = None
) -> list[Finished]:
    """End open tasks with their messages: those of a state, the one of that number, or all. Return the messages."""
    cursor.execute(_END_TASKS, asdict(row) | {"request": request_id, "state": state, "number": number} | WORDS)
    return [Finished(*columns, status=Status.COMPLETE) for columns in cursor.fetchall()]


def complete_request(cursor: CursorWrapper, *, request_id: uuid.UUID) -> None:
    """Mark the request of a service as over."""
    cursor.execute(_COMPLETE_REQUEST, [request_id])


def put_extensions(cursor: CursorWrapper, stage: Stage, *, request_id: uuid.UUID, extensions: str) -> None:
    """Keep the extensions of a service, or of a state or task of it."""
    _run(cursor, _PUT_EXTENSIONS, stage, {"request": request_id, "extensions": extensions})


def give_customer(cursor: CursorWrapper, row: Updated, *, request_id: uuid.UUID, customer_id: str) -> None:
    """Give a service its customer."""
    cursor.execute(_GIVE_CUSTOMER, asdict(row) | {"request": request_id, "customer_id": customer_id})


def delete(cursor: CursorWrapper, *, request_id: uuid.UUID) -> None:
    """Delete a service with all that belongs to it."""
    cursor.execute(_DELETE, {"request": request_id})


def _run(cursor: CursorWrapper, statement: str, stage: Stage, values: dict[str, Any]) -> None:
    """Run a statement on one span: by primary key of a service, by state_number_once or task_number_once else."""
    one = "request_id = %(request)s" + ("" if stage.kind is Kind.SERVICE else " AND number = %(number)s")
    cursor.execute(statement.format(table=_TABLES[stage.kind], one=one), values | {"number": stage.number})


# By primary key.
_LOCK = "SELECT door FROM orchestrator_request WHERE id = %(request)s AND client_id = %(client)s FOR NO KEY UPDATE"

# A statement of its own, after the lock: its snapshot sees what the transaction that we waited for has committed.
_READ_LOCKED = """
SELECT request.id, request.client_id, request.received_at, request.total, service.completed_at,
    date_trunc('milliseconds', statement_timestamp()), pg_current_xact_id()::text
FROM orchestrator_request AS request JOIN orchestrator_service AS service ON service.request_id = request.id
WHERE request.id = %(request)s
"""

_INSERT_SERVICE = """
INSERT INTO orchestrator_service
    (request_id, client_id, customer_id, contact_key, type, est_duration, started_at, started, extensions)
VALUES (%(request)s, %(client)s, %(customer_id)s, %(contact_key)s,
    %(type)s, %(est_duration)s, %(started_at)s, %(started)s, %(extensions)s)
"""

_FIND = "SELECT completed_at, extensions FROM {table} WHERE {one}"

# The highest number by state_number_once, read backwards.
_INSERT_STATE = """
INSERT INTO orchestrator_state
    (request_id, number, previous_number, type, est_duration, started_at, started, extensions)
SELECT %(request)s, coalesce(max(number) + 1, 0), %(previous)s::int,
    %(type)s, %(est_duration)s, %(started_at)s::timestamptz, %(started)s, %(extensions)s
FROM orchestrator_state WHERE request_id = %(request)s
RETURNING number
"""

# In Processing without a claim, in no lane: no worker ever sees it.
_INSERT_TASK = """
WITH message AS (
    INSERT INTO orchestrator_message
        (id, request_id, client_id, state_number, number, type, lane, turn, payload, status, received_at,
         first_started_at)
    VALUES (%(message)s, %(request)s, %(client)s, %(state)s, %(number)s, %(message_type)s, '', 0, '{}', %(processing)s,
        %(received_at)s, statement_timestamp())
), task AS (
    INSERT INTO orchestrator_task (request_id, number, type, est_duration, started_at, started, extensions)
    VALUES (%(request)s, %(number)s, %(type)s, %(est_duration)s, %(started_at)s, %(started)s, %(extensions)s)
)
UPDATE orchestrator_request SET total = total + 1, open = open + 1,
    types = (SELECT array_agg(DISTINCT type ORDER BY type) FROM unnest(types || %(message_type)s::text) AS type)
WHERE id = %(request)s
"""

_END = """
UPDATE {table} SET completed_at = %(completed_at)s, completed = %(completed)s, disposition = %(disposition)s,
    disposition_desc = %(disposition_desc)s, extensions = %(extensions)s
WHERE {one}
"""

# state_number_once begins with the request.
_END_STATES = """
UPDATE orchestrator_state SET completed_at = %(completed_at)s, completed = %(completed)s
WHERE request_id = %(request)s AND completed_at IS NULL
"""

# message_processing finds the open ones. A task that was ended by itself has its disposition by now, and is left.
_END_TASKS = """
WITH message AS (
    UPDATE orchestrator_message SET status = %(complete)s, processed_at = statement_timestamp(),
        turn = (SELECT total - open FROM orchestrator_request WHERE id = %(request)s)
    WHERE request_id = %(request)s AND status = %(processing)s
      AND (%(state)s::int IS NULL OR state_number = %(state)s) AND (%(number)s::int IS NULL OR number = %(number)s)
    RETURNING id, request_id, client_id, type, lane, processed_at, number,
        extract(epoch FROM processed_at - first_started_at)::float8 AS seconds
), task AS (
    UPDATE orchestrator_task AS task SET completed_at = %(completed_at)s, completed = %(completed)s
    FROM message
    WHERE task.request_id = %(request)s AND task.number = message.number AND task.completed_at IS NULL
)
SELECT id, request_id, client_id, type, lane, processed_at, seconds FROM message
"""

_GIVE_CUSTOMER = """
UPDATE orchestrator_service SET customer_id = %(customer_id)s,
    type = coalesce(%(type)s, type), est_duration = coalesce(%(est_duration)s, est_duration),
    started_at = coalesce(%(started_at)s, started_at), started = coalesce(%(started)s, started),
    extensions = %(extensions)s
WHERE request_id = %(request)s
"""

_PUT_EXTENSIONS = "UPDATE {table} SET extensions = %(extensions)s WHERE {one}"

# By primary key.
_COMPLETE_REQUEST = "UPDATE orchestrator_request SET completed_at = statement_timestamp() WHERE id = %s"

# By the indexes that begin with the request. The message's foreign key is checked at the end of the statement.
_DELETE = """
WITH task AS (DELETE FROM orchestrator_task WHERE request_id = %(request)s),
    state AS (DELETE FROM orchestrator_state WHERE request_id = %(request)s),
    message AS (DELETE FROM orchestrator_message WHERE request_id = %(request)s),
    service AS (DELETE FROM orchestrator_service WHERE request_id = %(request)s)
DELETE FROM orchestrator_request WHERE id = %(request)s
"""
