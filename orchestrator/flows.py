"""Services and their stages: start, transition, end.

In: what was told of a service, its shape checked by the door. Out: the door's answer, after COMMIT.
Called by the states window's views.

Each change is one transaction under the lock of the service's request (`changes.py`). So of two that end or leave the
same state, the second finds it ended: one wins.
"""

import uuid
from collections.abc import Callable
from datetime import datetime

import msgspec
from django.conf import settings
from django.db import connection
from django.db.backends.utils import CursorWrapper

from orchestrator import (
    changes,
    extensions,
    finishing,
    handlers,
    idempotency,
    ids,
    intake,
    spans,
    storing,
    traceparent,
    tracing,
)
from orchestrator.finishing import Effects, Finished
from orchestrator.idempotency import Answer, Key
from orchestrator.lifecycle import EXTERNAL_DOOR, ErrorPolicy
from orchestrator.stages import SERVICE, Beginning, Ending, Extensions, Kind, Owner, Stage, Update


class UnknownStage(Exception):
    """The service has no state or task of this id."""


class AlreadyEnded(Exception):
    """It has ended already, or what it belongs to has."""


class TooLong(Exception):
    """The extensions are too long."""


def start_service(
    beginning: Beginning, *, owner: Owner, client_id: int, key: Key | None, answer: Callable[[uuid.UUID], Answer]
) -> Answer:
    """Begin a service: a request without messages that stays open until its owner ends it.

    Raises idempotency.KeyReused, idempotency.KeyBusy, TooLong.
    """
    service_id = ids.make()

    def work() -> Answer:
        storing.insert_request(_request(service_id, client_id=client_id))
        with connection.cursor() as cursor:
            row = _begun(beginning, now=spans.read_clock(cursor))
            spans.insert_service(cursor, row, request_id=service_id, client_id=client_id, owner=owner)
        return answer(service_id)

    return idempotency.answer_once(key=key, work=work, stands=lambda: storing.has_request(service_id))


# All that follow raise what `changes.carry_out` raises; UnknownStage for a state or task that isn't there, AlreadyEnded
# where it must be open, and TooLong for extensions.


def start_state(
    call: changes.Call, beginning: Beginning, *, previous: int | None, answer: Callable[[int], Answer]
) -> Answer:
    """Begin a state of an open service, and hand its number to `answer`. `previous` is only noted."""

    def work(cursor: CursorWrapper, service: spans.Locked) -> Answer:
        _require_open(service)
        if previous is not None:
            _find(cursor, service, Stage(Kind.STATE, previous))
        row = _begun(beginning, now=service.now)
        return answer(spans.insert_state(cursor, row, request_id=service.id, previous=previous))

    return changes.carry_out(call, work)


def start_task(
    call: changes.Call, beginning: Beginning, *, state: int | None, answer: Callable[[int], Answer]
) -> Answer:
    """Begin an external task, of an open state or of the service itself, and hand its number to `answer`.

    Raises intake.TypeRefused for a message type that comes through certain other doors only.
    """
    message_type = _name(beginning.type)
    _require_free(message_type)

    def work(cursor: CursorWrapper, service: spans.Locked) -> Answer:
        _require_open(service)
        if state is not None:
            _find_open(cursor, service, Stage(Kind.STATE, state))
        number = spans.insert_task(
            cursor,
            _begun(beginning, now=service.now),
            service=service,
            message_id=ids.make(at=ids.moment(service.id)),  # of its request's millisecond
            message_type=message_type,
            state=state,
        )
        return answer(number)

    return changes.carry_out(call, work)


def transition(
    call: changes.Call, ending: Ending, beginning: Beginning, *, source: int, answer: Callable[[int], Answer]
) -> Answer:
    """End the state `source` with its open tasks, and begin another at the same moment: both or neither."""

    def work(cursor: CursorWrapper, service: spans.Locked) -> Answer:
        _require_open(service)
        _end(cursor, service, Stage(Kind.STATE, source), ending)
        row = _begun(beginning, now=service.now)
        return answer(spans.insert_state(cursor, row, request_id=service.id, previous=source))

    return changes.carry_out(call, work)


def end(call: changes.Call, stage: Stage, ending: Ending, *, answer: Answer) -> Answer:
    """End a service with its open states and tasks, a state with its open tasks, or a task."""

    def work(cursor: CursorWrapper, service: spans.Locked) -> Answer:
        _end(cursor, service, stage, ending)
        return answer

    return changes.carry_out(call, work)


def put_extensions(call: changes.Call, stage: Stage, *, given: Extensions, answer: Answer) -> Answer:
    """Put extensions in place of those of the same names; also on what is over."""

    def work(cursor: CursorWrapper, service: spans.Locked) -> Answer:
        kept = _find(cursor, service, stage).extensions
        spans.put_extensions(cursor, stage, request_id=service.id, extensions=_replace(kept, given))
        return answer

    return changes.carry_out(call, work)


def give_customer(call: changes.Call, *, customer_id: str, update: Update, answer: Answer) -> Answer:
    """Give a service its customer, or another one."""

    def work(cursor: CursorWrapper, service: spans.Locked) -> Answer:
        kept = _find(cursor, service, SERVICE).extensions
        row = spans.Updated(
            type=update.type,
            est_duration=update.est_duration,
            started_at=update.event.at if update.event else None,
            started=update.event.fields if update.event else None,
            extensions=_replace(kept, update.extensions),
        )
        spans.give_customer(cursor, row, request_id=service.id, customer_id=customer_id)
        return answer

    return changes.carry_out(call, work)


def delete(call: changes.Call, *, answer: Answer) -> Answer:
    """Delete a service with all that belongs to it, open or over."""

    def work(cursor: CursorWrapper, service: spans.Locked) -> Answer:
        spans.delete(cursor, request_id=service.id)
        return answer

    return changes.carry_out(call, work)


def _require_open(service: spans.Locked) -> None:
    if service.completed_at is not None:
        raise AlreadyEnded(AlreadyEnded.__doc__)


def _name(of_type: str) -> str:
    """Return a type, which came as a JSON text or number, as the ledger names it: a text without its quotes."""
    return str(msgspec.json.decode(of_type)) if of_type.startswith('"') else of_type


def _require_free(message_type: str) -> None:
    """Refuse a type that is kept to other doors: whoever looks for its messages would take the task for one."""
    known = handlers.find(message_type)
    if known and known.doors is not None and EXTERNAL_DOOR not in known.doors:
        raise intake.TypeRefused({message_type: 0})


def _find(cursor: CursorWrapper, service: spans.Locked, stage: Stage) -> spans.Found:
    found = spans.find(cursor, stage, request_id=service.id)
    if found is None:
        raise UnknownStage(UnknownStage.__doc__)
    return found


def _find_open(cursor: CursorWrapper, service: spans.Locked, stage: Stage) -> spans.Found:
    found = _find(cursor, service, stage)
    if found.completed_at is not None:
        raise AlreadyEnded(AlreadyEnded.__doc__)
    return found


def _begun(beginning: Beginning, *, now: datetime) -> spans.Begun:
    return spans.Begun(
        type=beginning.type,
        est_duration=beginning.est_duration,
        started_at=beginning.event.at or now,
        started=beginning.event.fields,
        extensions=_replace("{}", beginning.extensions),
    )


def _end(cursor: CursorWrapper, service: spans.Locked, stage: Stage, ending: Ending) -> None:
    """End one thing, and by the same event, without its disposition, what is open within it."""
    kept = _find_open(cursor, service, stage).extensions
    within = spans.Ended(completed_at=ending.event.at or service.now, completed=ending.event.fields)
    row = spans.Ended(
        completed_at=within.completed_at,
        completed=within.completed,
        disposition=ending.disposition,
        disposition_desc=ending.disposition_desc,
        extensions=_replace(kept, ending.extensions),
    )
    spans.end(cursor, stage, row, request_id=service.id)
    finishing.settle(cursor, _end_within(cursor, service, stage, within), effects=Effects.NONE, completes=False)
    if stage.kind is Kind.SERVICE:
        spans.complete_request(cursor, request_id=service.id)


def _end_within(cursor: CursorWrapper, service: spans.Locked, stage: Stage, row: spans.Ended) -> list[Finished]:
    """End what is open within something that has ended, and return the messages that are over by it."""
    if stage.kind is Kind.STATE:
        return spans.end_open_tasks(cursor, row, request_id=service.id, state=stage.number)
    if stage.kind is Kind.TASK:
        return spans.end_open_tasks(cursor, row, request_id=service.id, number=stage.number)
    spans.end_open_states(cursor, row, request_id=service.id)
    return spans.end_open_tasks(cursor, row, request_id=service.id)


def _replace(kept: str, given: Extensions) -> str:
    """Put extensions in place; together they are no longer than one body may be."""
    replaced = extensions.replace(kept, given)
    if len(replaced) > settings.WAYBILL_MAX_BODY_BYTES:
        raise TooLong(TooLong.__doc__)
    return replaced


def _request(service_id: uuid.UUID, *, client_id: int) -> storing.NewRequest:
    return storing.NewRequest(
        id=service_id,
        client_id=client_id,
        door=EXTERNAL_DOOR,
        batch_reference=None,
        error_policy=ErrorPolicy.PROCEED,
        attributes={},
        types=[],
        traceparent=tracing.current() or traceparent.begin(service_id),
        deadline_seconds=None,
        replay_of=None,
        halted=False,
        open=0,
        invalid=0,
        cancelled=0,
    )
