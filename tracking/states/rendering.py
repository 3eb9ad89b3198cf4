"""Services, states and tasks in the documents' words, as JSON.

In: rows of the ledger, and what is wanted. Out: what stands in the answers. Called by the views.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import orjson

from orchestrator import extensions
from orchestrator.api.rendering import RawJSON
from tracking.states import scalars, timestamps, words
from tracking.states.parameters import Wanted
from tracking.states.queries import Found, Row

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MILLISECOND = timedelta(milliseconds=1)


def services(found: Iterable[Found], wanted: Wanted) -> list[dict[str, Any]]:
    """Return services, each with the states that are asked for; the types were looked for in the statement."""
    return [service(one, wanted) for one in found]


def service(found: Found, wanted: Wanted) -> dict[str, Any]:
    """Return one service. Its states come without extensions: those that are named are the service's own."""
    row = found.service
    body: dict[str, Any] = {"service_id": row.service_id, "service_type": RawJSON(row.type)}
    if row.customer_id is not None:
        body["customer_id"] = RawJSON(row.customer_id)
    elif row.contact_key is not None:
        body["contact_key"] = RawJSON(row.contact_key)
    body |= _span(row) | _extensions(row, wanted)
    listed = states(found, Wanted(tasks=wanted.tasks))
    over = [state for state in listed if "completed" in state]
    if wanted.states.active:
        body["active_states"] = [state for state in listed if "completed" not in state]
    return body | {"completed_states": over} if wanted.states.completed else body


def states(found: Found, wanted: Wanted) -> list[dict[str, Any]]:
    """Return the states of those types, each with its tasks as far as they are asked for."""
    tasks_of: dict[int | None, list[Row]] = {}
    for task in found.tasks:
        tasks_of.setdefault(task.state, []).append(task)
    return [_state(row, tasks_of.get(row.number, ()), wanted) for row in found.states if is_wanted(row, wanted)]


def tasks(found: Found, wanted: Wanted) -> list[dict[str, Any]]:
    """Return the tasks of those types."""
    return [_task(row) | _extensions(row, wanted) for row in found.tasks if is_wanted(row, wanted)]


def is_wanted(row: Row, wanted: Wanted) -> bool:
    """Tell whether a row is of the types that are asked for, compared as text."""
    return wanted.types is None or scalars.as_text(row.type) in wanted.types


def _state(row: Row, of_state: Iterable[Row], wanted: Wanted) -> dict[str, Any]:
    body: dict[str, Any] = {
        "service_id": row.service_id,
        "state_id": row.number,
        "state_type": RawJSON(row.type),
        **_span(row),
    }
    if row.completed_at is not None:
        body["duration"] = (timestamps.whole(row.completed_at) - timestamps.whole(row.started_at)) // _MILLISECOND
    body |= _extensions(row, wanted)
    listed = list(of_state) if wanted.tasks.active or wanted.tasks.completed else []
    if wanted.tasks.active:
        body["active_tasks"] = [_task(task) for task in listed if task.completed_at is None]
    if wanted.tasks.completed:
        body["completed_tasks"] = [_task(task) for task in listed if task.completed_at is not None]
    return body


def _task(row: Row) -> dict[str, Any]:
    body = {"task_id": row.number, "task_type": RawJSON(row.type)} | _span(row)
    if row.status is not None and row.completed_at is not None:
        body["disposition"] = words.DISPOSITIONS[row.status]
        if row.errors:
            body["disposition_desc"] = "; ".join(orjson.loads(row.errors))[: words.LONGEST_DISPOSITION_DESC]
    return body


def _span(row: Row) -> dict[str, Any]:
    """Return what a service, a state and a task have in common."""
    body: dict[str, Any] = {}
    if row.est_duration is not None:
        body["est_duration"] = RawJSON(row.est_duration)
    body["started"] = _event(row.started_at, row.started)
    if row.completed_at is not None:
        body["completed"] = _event(row.completed_at, row.completed)
    if row.disposition is not None:
        body["disposition"] = RawJSON(row.disposition)
    if row.disposition_desc is not None:
        body["disposition_desc"] = row.disposition_desc
    return body


def _event(at: datetime, given: str | None) -> dict[str, Any]:
    event: dict[str, Any] = {"timestamp": timestamps.printed(at)}
    return event | _raw(_OBJECT.decode(given)) if given else event


def _extensions(row: Row, wanted: Wanted) -> dict[str, Any]:
    return _raw(extensions.choose(row.extensions, wanted.extensions))


def _raw(fields: dict[str, msgspec.Raw]) -> dict[str, Any]:
    return {name: RawJSON(bytes(value)) for name, value in fields.items()}
