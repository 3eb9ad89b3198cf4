"""Do together what comes together: one of those who come while somebody is at work then works for all of them.

In: items, each in a thread of its own, by a key. Out: what was made of each, in its own thread. Called by intake.

Nobody waits for company: who finds nobody at work under its key begins at once, alone. Who comes meanwhile waits until
that has ended, and then one thread does the work of all who wait. The more there is to do, the more of it shares a
transaction, as in a database's own group commit.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(slots=True, eq=False)
class _Comer(Generic[_Item, _Result]):
    """One thread's item. `called`: its result is there or, where there is none, it is its turn to work."""

    item: _Item
    called: threading.Event = field(default_factory=threading.Event)
    result: "_Result | BaseException | None" = None


class Gathering(Generic[_Item, _Result]):
    """`work` gets up to `most` items of one key, and returns for each its result or the exception that it met."""

    def __init__(self, work: Callable[[Sequence[_Item]], Sequence[_Result | BaseException]], *, most: int) -> None:
        """Nobody is at work."""
        self._work = work
        self._most = most
        self._lock = threading.Lock()
        # A key is in here while somebody is at work under it.
        self._waiting: dict[Hashable, list[_Comer[_Item, _Result]]] = {}

    def bring(self, key: Hashable, item: _Item) -> tuple[_Result, Sequence[_Result | BaseException]]:
        """Have an item worked on; return its result, or raise the exception that the work met.

        Also returns the results of all that this thread has worked on: nothing where another one did the work.
        """
        comer = _Comer[_Item, _Result](item)
        if not self._begins(key, comer):
            comer.called.wait()
        if comer.result is not None:
            return _result_of(comer), []  # another one did the work
        company = self._take(key, comer)
        self._work_for(key, company)
        return _result_of(comer), [one.result for one in company if one.result is not None]

    def _begins(self, key: Hashable, comer: _Comer[_Item, _Result]) -> bool:
        """Tell whether nobody is at work under the key; else the comer waits from now on.

        The race: somebody who ends, sees nobody waiting and leaves, while a comer sees somebody at work and waits for
        ever. Both look and act under the lock.
        """
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is None:
                self._waiting[key] = []
                return True
            waiting.append(comer)
            return False

    def _take(self, key: Hashable, comer: _Comer[_Item, _Result]) -> list[_Comer[_Item, _Result]]:
        with self._lock:
            waiting = self._waiting[key]
            others, self._waiting[key] = waiting[: self._most - 1], waiting[self._most - 1 :]
            return [comer, *others]

    def _work_for(self, key: Hashable, company: Sequence[_Comer[_Item, _Result]]) -> None:
        """Work, tell everybody what became of it, and let the next who waits work; whatever happens."""
        results: Sequence[_Result | BaseException]
        try:
            results = self._work([one.item for one in company])
            assert len(results) == len(company)  # noqa: S101 - or somebody would wait for ever
        except BaseException as failure:  # noqa: BLE001 - each of the company raises one of its own
            results = [failure] * len(company)
        self._call_next(key)
        for one, result in zip(company, results, strict=True):
            one.result = result
            one.called.set()

    def _call_next(self, key: Hashable) -> None:
        with self._lock:
            waiting = self._waiting[key]
            if waiting:
                waiting.pop(0).called.set()
            else:
                del self._waiting[key]


def _result_of(comer: _Comer[_Item, _Result]) -> _Result:
    """Return what the work made of a thread's item, or raise the exception that it met."""
    if comer.result is None:
        raise RuntimeError("the work of a gathering returned nothing")
    if isinstance(comer.result, BaseException):
        raise _own(comer.result)
    return comer.result


def _own(failure: BaseException) -> BaseException:
    """Return an exception of the same type and cause, for one thread alone: each raise adds to its traceback."""
    kind = type(failure)
    own = kind.__new__(kind, *failure.args)  # without __init__, whose parameters need not be the args
    own.__dict__.update(failure.__dict__)
    own.__cause__ = failure.__cause__ or failure
    return own
