"""One unit of work in one transaction, with a certain end.

In: the work, and a look whether its rows stand. Out: what the work returned, once its COMMIT is certain.
Called by idempotency, for every door, and by intake for what comes without a key.
"""

from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction

from orchestrator import database_errors, failpoints
from orchestrator.failpoints import Place

_Result = TypeVar("_Result")


@database_errors.repeat_deadlocked
def commit(*, work: Callable[[], _Result], stands: Callable[[], bool]) -> _Result:
    """Do the work in a transaction of its own and return its result after COMMIT.

    A deadlock repeats the work. When COMMIT's answer is lost nobody knows whether it happened: `stands` is then asked
    on a new connection whether the work's rows are there. Raises the database's error when they are not, or when
    that can't be asked either: the caller is told to try again, and an idempotency key makes that safe.
    """
    finished: list[_Result] = []
    try:
        with transaction.atomic(durable=True):
            finished.append(work())
            failpoints.pass_by(Place.COMMITTING)
        failpoints.pass_by(Place.COMMITTED)
    except (OperationalError, InterfaceError):
        if not finished:
            raise  # before COMMIT: nothing was done
        connection.close()
        if not stands():
            raise
    return finished[0]
