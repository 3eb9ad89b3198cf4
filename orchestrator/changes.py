"""One change of a service: its request's row is locked, then the work is done, in one transaction.

In: whose service, and the work. Out: the work's answer, after COMMIT. Called by flows.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from django.db import IntegrityError, connection
from django.db.backends.utils import CursorWrapper

from orchestrator import idempotency, spans
from orchestrator.idempotency import Answer, Key
from orchestrator.lifecycle import EXTERNAL_DOOR

Work = Callable[[CursorWrapper, spans.Locked], Answer]


class UnknownService(Exception):
    """You have no service of this id."""


class NotBegunAsService(Exception):
    """Only a service that was begun as one can be changed; this is a request of another door."""


class EndsBeforeStart(Exception):
    """It would end before its start, or something open within it would."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that changes a service: whose it is, and its idempotency key."""

    client_id: int
    service_id: uuid.UUID
    key: Key | None = None


def carry_out(call: Call, work: Work) -> Answer:
    """Lock the service and do the work. The key comes before the lock, see `idempotency.answer_once`.

    Raises UnknownService (also for another client's), NotBegunAsService, EndsBeforeStart (the tables check that),
    idempotency.KeyReused, idempotency.KeyBusy, and what the work raises; nothing is changed then.
    """
    transactions: list[str] = []

    def locked_work() -> Answer:
        with connection.cursor() as cursor:
            service = _lock(cursor, call)
            transactions.append(service.transaction)
            return work(cursor, service)

    def stands() -> bool:
        return bool(transactions) and spans.is_committed(transactions[-1])

    try:
        return idempotency.answer_once(key=call.key, work=locked_work, stands=stands)
    except IntegrityError as error:
        if _broken_constraint(error).endswith("_ends_after_its_start"):
            raise EndsBeforeStart(EndsBeforeStart.__doc__) from error
        raise


def _lock(cursor: CursorWrapper, call: Call) -> spans.Locked:
    door = spans.lock(cursor, client_id=call.client_id, request_id=call.service_id)
    if door is None:
        raise UnknownService(UnknownService.__doc__)
    if door != EXTERNAL_DOOR:
        raise NotBegunAsService(NotBegunAsService.__doc__)
    return spans.read_locked(cursor, call.service_id)


def _broken_constraint(error: IntegrityError) -> str:
    cause = error.__cause__
    return (isinstance(cause, psycopg.Error) and cause.diag.constraint_name) or ""
