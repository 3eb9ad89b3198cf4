"""What the page of a request shows: how far it is, what happened when, and a page of its messages.

In: a request's id. Out: plain values for the template and for the script that follows the work. Called by requests.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from orchestrator import replays
from orchestrator.admin.texts import show
from orchestrator.lifecycle import EXTERNAL_DOOR, WORDS
from orchestrator.models import Message, Request, Service, State
from orchestrator.payloads import Part

PAGE = 50
_SHOWN = 8_192
"""Characters of a payload or a result that are read for the request's page; the message's own page shows more."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a request. `lasting`: it has not ended yet."""

    at: datetime
    what: str
    detail: str = ""
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A message as the page shows it; payload and result are indented, and masked for those who may not see all."""

    message: Message
    payload: str
    result: str
    replays: Sequence[uuid.UUID]


class _Texts(NamedTuple):
    """The beginnings of a message's long texts."""

    id: uuid.UUID
    number: int
    payload: str
    payload_length: int
    result: str | None
    result_length: int | None


def describe(request: Request, *, first: int, only_failed: bool, masked: Sequence[str]) -> dict[str, Any]:
    """Return what the page shows of a request, whoever looks: its messages from a number on."""
    counts = count(request)
    rows, next_first = find_rows(request, first=first, only_failed=only_failed, masked=masked)
    return {
        "title": f"Request {request.pk}",
        "shown": request,
        "counts": {name: value for name, value in counts.items() if name != "total"},
        "total": counts["total"],
        "over": is_over(request, counts),
        "events": find_events(request),
        "rows": rows,
        "next_first": next_first,
        "only_failed": only_failed,
        "replays": replays.find_replays(request.pk),
        "origins": replays.find_origins(request.pk),
        "trace_id": trace_id(request),
        "can_be_cancelled": can_be_cancelled(request, counts),
        "can_be_replayed": can_be_replayed(request, counts),
    }


def can_be_cancelled(request: Request, counts: dict[str, int]) -> bool:
    """Tell whether something of a request is open, and isn't its owner's to end."""
    return counts["queued"] + counts["processing"] > 0 and request.door != EXTERNAL_DOOR


def can_be_replayed(request: Request, counts: dict[str, int]) -> bool:
    """Tell whether something of a request has failed, and isn't its owner's to begin anew."""
    return counts["failed"] > 0 and request.door != EXTERNAL_DOOR


def count(request: Request) -> dict[str, int]:
    """Return how many of a request's messages are in each status: one statement, so that they add up."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"id": request.pk, **WORDS})
        names = [column.name for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))


def find_events(request: Request) -> list[Event]:
    """Return what happened to a request, in order. A service has the stages that its owner gave it."""
    service = Service.objects.filter(pk=request.pk).first()
    events = [Event(request.received_at, "received", f"by the door {request.door}")]
    if (started_at := _find_start(request)) is not None:
        events.append(Event(started_at, "work began"))
    for state in State.objects.filter(request=request).order_by("number")[:1000] if service else ():
        events.append(Event(state.started_at, f"state {state.type} began", lasting=state.completed_at is None))
        if state.completed_at:
            events.append(Event(state.completed_at, f"state {state.type} ended", _unquote(state.disposition)))
    if request.stopped_at:
        events.append(Event(request.stopped_at, f"stopped: {request.stop_reason}"))
    if request.deadline_at:
        events.append(Event(request.deadline_at, "deadline", "what has not begun by then is cancelled"))
    if request.completed_at:
        events.append(Event(request.completed_at, "finished"))
    return sorted(events, key=lambda event: event.at)


def find_rows(
    request: Request, *, first: int, only_failed: bool, masked: Sequence[str]
) -> tuple[list[Row], int | None]:
    """Return a page of a request's messages from a number on, and the number of the next page's first."""
    found = _find_texts(request, first=first, only_failed=only_failed, limit=PAGE + 1)
    page = found[:PAGE]
    messages = Message.objects.defer("payload", "result").in_bulk([texts.id for texts in page])
    copies = replays.find_copies(list(messages.values()))
    rows = [
        _make_row(messages[texts.id], texts, masked=masked, copies=copies.get(texts.id, ()))
        for texts in page
        if texts.id in messages
    ]
    return rows, found[PAGE].number if len(found) > PAGE else None


def _find_texts(request: Request, *, first: int, only_failed: bool, limit: int) -> list[_Texts]:
    wanted: dict[str, Any] = {
        "id": request.pk,
        "first": first,
        "only_failed": only_failed,
        "limit": limit,
        "shown": _SHOWN,
        **WORDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PAGE, wanted)
        return [_Texts._make(row) for row in cursor.fetchall()]


def _make_row(message: Message, texts: _Texts, *, masked: Sequence[str], copies: Sequence[uuid.UUID]) -> Row:
    payload = show(texts.payload, length=texts.payload_length, message_id=texts.id, part=Part.PAYLOAD, masked=masked)
    result = show(texts.result, length=texts.result_length, message_id=texts.id, part=Part.RESULT, masked=masked)
    return Row(message=message, payload=payload, result=result, replays=copies)


def find_statuses(request_id: uuid.UUID, numbers: Sequence[int]) -> dict[int, tuple[str, int]]:
    """Return the status and the attempts of some messages, by number (message_in_request)."""
    found = Message.objects.filter(request=request_id, number__in=numbers)
    return {
        number: (status, attempts) for number, status, attempts in found.values_list("number", "status", "attempts")
    }


def trace_id(request: Request) -> str:
    """Return the id of the trace that the request belongs to."""
    return request.traceparent.split("-")[1] if request.traceparent else ""


def is_over(request: Request, counts: dict[str, int]) -> bool:
    """Tell whether nothing of a request changes any more."""
    return request.completed_at is not None and not counts["queued"] and not counts["processing"]


def _find_start(request: Request) -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(_START, {"id": request.pk})
        return cursor.fetchone()[0]  # type: ignore[no-any-return]


def _unquote(text: str | None) -> str:
    return (text or "").strip('"')


# By primary key, message_processing. `queued` is what is open and not in processing.
_COUNT = """
SELECT total, complete, failed, invalid, cancelled, processing, open - processing AS queued
FROM (
    SELECT *, least(open, (
        SELECT count(*) FROM orchestrator_message WHERE request_id = %(id)s AND status = %(processing)s
    ))::int AS processing
    FROM orchestrator_request WHERE id = %(id)s
) AS request
"""

# By message_in_request; a request has ten thousand messages at most, unless the setting says more.
_PAGE = """
SELECT id, number, left(payload, %(shown)s), length(payload), left(result, %(shown)s), length(result)
FROM orchestrator_message
WHERE request_id = %(id)s AND number >= %(first)s AND (NOT %(only_failed)s OR status = %(failed)s)
ORDER BY number LIMIT %(limit)s
"""

# By message_in_request.
_START = "SELECT min(first_started_at) FROM orchestrator_message WHERE request_id = %(id)s"
