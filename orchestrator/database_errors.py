"""What a database error means: is the ledger away for a while, was it a deadlock, or is somebody at fault?

In: an exception. Out: a yes or no, by SQLSTATE. Called by whoever writes into the ledger, to
repeat a unit of work, to try again later, or to find the culprit.
"""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import psycopg
from django.db import DatabaseError, InterfaceError, OperationalError

_PASSING_CLASSES = ("08", "53", "57P", "58")
"""Connection, insufficient resources (a full disk among them), operator intervention, system error."""
_TIMED_OUT = frozenset({"57014", "55P03"})
"""A statement or a lock that took too long: somebody holds the table (maintenance, say), and nobody is at fault."""
_DEADLOCKS = frozenset({"40P01", "40001"})
_TRIES = 5

_P = ParamSpec("_P")
_R = TypeVar("_R")


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE behind Django's wrapping; None when the server had no say in the error."""
    cause = error.__cause__ if isinstance(error, DatabaseError | InterfaceError) else error
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None


def is_passing(error: BaseException) -> bool:
    """Tell whether the ledger couldn't be reached or couldn't work: the same call may succeed later."""
    state = sqlstate(error)
    if state is None:
        return isinstance(error, OperationalError | InterfaceError | psycopg.OperationalError)
    return state.startswith(_PASSING_CLASSES) or state in _TIMED_OUT


def is_deadlock(error: BaseException) -> bool:
    """Tell whether the unit of work lost a deadlock and may simply be repeated."""
    return sqlstate(error) in _DEADLOCKS


def repeat_deadlocked(unit: Callable[_P, _R]) -> Callable[_P, _R]:
    """Repeat a unit of work that lost a deadlock: the lock order makes them rare, not impossible."""

    @functools.wraps(unit)
    def repeating(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        for _ in range(_TRIES - 1):
            try:
                return unit(*args, **kwargs)
            except DatabaseError as error:
                if not is_deadlock(error):
                    raise
        return unit(*args, **kwargs)

    return repeating
