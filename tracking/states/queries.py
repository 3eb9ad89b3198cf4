"""What the states window reads: services with their states and tasks, in one statement whatever is asked.

In: a client, an id or an owner, and what is wanted. Out: services, each with its states and tasks.
Called by the views. One statement, so that a service and its states are of one moment.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import connection
from psycopg.types.datetime import TimestamptzLoader

from orchestrator.lifecycle import EXTERNAL_DOOR
from tracking.states import words
from tracking.states.parameters import NONE, Scope

_SERVICE, _STATE, _TASK = range(3)


class Row(NamedTuple):
    """A service, a state or a task. What was sent is JSON text; `errors`, of a message's task, a list of it.

    `state`: the number of a task's state. `status`: of a task that is a message, its status in the ledger's words.
    """

    kind: int
    service_id: uuid.UUID
    number: int | None
    state: int | None
    type: str
    est_duration: str | None
    started_at: datetime
    started: str | None
    completed_at: datetime | None
    completed: str | None
    disposition: str | None
    disposition_desc: str | None
    extensions: str | None
    customer_id: str | None
    contact_key: str | None
    door: str | None
    status: str | None
    errors: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """A service with those of its states and tasks that were asked for, in their order."""

    service: Row
    states: list[Row] = field(default_factory=list)
    tasks: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reading:
    """What to read: states and tasks by scope, all or those of one number; tasks also by their state."""

    states: Scope = NONE
    tasks: Scope = NONE
    state: int | None = None
    task: int | None = None
    extensions: bool = False


@dataclass(frozen=True, slots=True)
class Owned:
    """Whose services: of a customer, or anonymous ones by contact key; in which scope, of which types, when begun."""

    scope: Scope
    customer_id: str | None = None
    contact_key: str | None = None
    types: frozenset[str] | None = None
    started_from: datetime | None = None
    started_to: datetime | None = None


def find_service(*, client_id: int, service_id: uuid.UUID, reading: Reading) -> Found | None:
    """Return a client's request as a service; None if the client has no such request."""
    found = _run(_BY_ID, {"client": client_id, "id": service_id}, reading)
    return found[0] if found else None


def find_owned(*, client_id: int, owned: Owned, reading: Reading) -> list[Found]:
    """Return the services of a customer, or the anonymous ones of a contact key, by their start."""
    values: dict[str, Any] = {
        "client": client_id,
        "active": owned.scope.active,
        "completed": owned.scope.completed,
        "types": None if owned.types is None else _forms(owned.types),
        "started_from": owned.started_from,
        "started_to": owned.started_to,
    }
    if owned.customer_id is not None:
        return _run(_OF_CUSTOMER, values | {"owner": _forms([owned.customer_id])}, reading)
    return _run(_ANONYMOUS, values | {"owner": _forms([owned.contact_key or ""])}, reading)


def _forms(texts: Iterable[str]) -> list[str]:
    """Return how each may have been sent, as JSON text: as a text, or as a number."""
    return [form for text in texts if "\x00" not in text for form in (text, msgspec.json.encode(text).decode())]


def _run(source: str, values: dict[str, Any], reading: Reading) -> list[Found]:
    wanted: dict[str, Any] = {
        "door": EXTERNAL_DOOR,
        "active_states": reading.states.active,
        "completed_states": reading.states.completed,
        "active_tasks": reading.tasks.active,
        "completed_tasks": reading.tasks.completed,
        "state": reading.state,
        "task": reading.task,
        "extensions": reading.extensions,
    }
    with connection.cursor() as cursor:
        # psycopg's own loader is C; Django's is Python, and would be the largest cost of a long answer.
        cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
        cursor.execute(_READ.format(source=source), values | wanted)
        rows = [Row._make(row) for row in cursor.fetchall()]
    return _group(rows, reading)


def _group(rows: Iterable[Row], reading: Reading) -> list[Found]:
    found: dict[uuid.UUID, Found] = {}
    for row in rows:
        if row.kind == _SERVICE:
            found[row.service_id] = Found(row, states=_automatic_state(row, reading))
        elif row.kind == _STATE:
            found[row.service_id].states.append(row)
        else:
            found[row.service_id].tasks.append(row)
    return list(found.values())


def _automatic_state(service: Row, reading: Reading) -> list[Row]:
    """Return the one state of a request that came through another door (ADR 4), when it is wanted."""
    wanted = reading.states.active if service.completed_at is None else reading.states.completed
    if service.door == EXTERNAL_DOOR or not wanted or reading.state not in {None, words.AUTOMATIC_STATE}:
        return []
    return [service._replace(kind=_STATE, number=words.AUTOMATIC_STATE, type=words.AUTOMATIC_STATE_TYPE)]


# Services by primary key, states by state_number_once, messages by message_in_request with tasks by task_number_once.
# A branch of which nothing is wanted has a condition that is constantly false: it is never run.
_READ = """
WITH found AS MATERIALIZED ({source})
SELECT 0 AS kind, found.id, NULL::int AS number, NULL::int AS state,
    coalesce(service.type, to_json(found.door)::text) AS type, service.est_duration,
    coalesce(service.started_at, found.received_at) AS started_at, service.started,
    coalesce(service.completed_at, found.completed_at), service.completed,
    service.disposition, service.disposition_desc, CASE WHEN %(extensions)s THEN service.extensions END,
    service.customer_id, service.contact_key, found.door, NULL AS status, NULL AS errors
FROM found LEFT JOIN orchestrator_service AS service ON service.request_id = found.id
UNION ALL
SELECT 1, found.id, state.number, NULL, state.type, state.est_duration, state.started_at, state.started,
    state.completed_at, state.completed, state.disposition, state.disposition_desc,
    CASE WHEN %(extensions)s THEN state.extensions END, NULL, NULL, NULL, NULL, NULL
FROM found JOIN orchestrator_state AS state ON state.request_id = found.id
WHERE (%(active_states)s OR %(completed_states)s)
  AND CASE WHEN state.completed_at IS NULL THEN %(active_states)s ELSE %(completed_states)s END
  AND (%(state)s::int IS NULL OR state.number = %(state)s)
UNION ALL
SELECT 2, found.id, message.number, message.state_number, coalesce(task.type, to_json(message.type)::text),
    task.est_duration, coalesce(task.started_at, message.first_started_at, message.received_at), task.started,
    coalesce(task.completed_at, message.processed_at), task.completed, task.disposition, task.disposition_desc,
    CASE WHEN %(extensions)s THEN task.extensions END, NULL, NULL, NULL,
    CASE WHEN task.id IS NULL THEN message.status END, message.errors::text
FROM found JOIN orchestrator_message AS message ON message.request_id = found.id
LEFT JOIN orchestrator_task AS task
    ON found.door = %(door)s AND task.request_id = message.request_id AND task.number = message.number
WHERE (%(active_tasks)s OR %(completed_tasks)s)
  AND CASE WHEN message.processed_at IS NULL THEN %(active_tasks)s ELSE %(completed_tasks)s END
  AND (%(state)s::int IS NULL OR message.state_number = %(state)s)
  AND (%(task)s::int IS NULL OR message.number = %(task)s)
ORDER BY kind, number, started_at, id
"""

# By primary key.
_BY_ID = """
    SELECT id, door, received_at, completed_at FROM orchestrator_request
    WHERE id = %(id)s AND client_id = %(client)s
"""

_OWNED = """
    SELECT request_id AS id, %(door)s::text AS door, started_at AS received_at, completed_at FROM orchestrator_service
    WHERE client_id = %(client)s AND {owner}
      AND CASE WHEN completed_at IS NULL THEN %(active)s ELSE %(completed)s END
      AND (%(types)s::text[] IS NULL OR type = ANY (%(types)s))
      AND (%(started_from)s::timestamptz IS NULL OR started_at >= %(started_from)s)
      AND (%(started_to)s::timestamptz IS NULL OR started_at < %(started_to)s)
"""

# By service_of_customer.
_OF_CUSTOMER = _OWNED.format(owner="customer_id = ANY (%(owner)s)")

# By service_anonymous.
_ANONYMOUS = _OWNED.format(owner="customer_id IS NULL AND contact_key = ANY (%(owner)s)")
