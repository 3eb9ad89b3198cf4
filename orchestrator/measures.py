"""What this process does, counted in memory: no statement and no waiting where the work is done.

In: events, a batch at a time, from the one place where each is settled. Out: rows a minute, for `tallies.write`.
Called by storing, finishing, outcomes, recovery, dispatch, a lane's claims and its calls.

Written at every heartbeat and at a graceful stop. A process that is killed takes its last few seconds of figures along;
an outcome whose COMMIT lost its answer may go uncounted. What is counted is never the ground of a decision.
"""

import bisect
import os
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from orchestrator.lifecycle import Status

BOUNDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0),
)
"""The upper bounds of the buckets of durations, in seconds; one bucket more is for what took longer."""

EXTERNAL = "external"
"""The type under which tasks are counted that clients name as they like: nobody may fill the figures with names."""


class Event(StrEnum):
    """What is counted of messages beside their final statuses (`final`) and failure kinds; and of lanes."""

    RECEIVED = "received"  # stored by intake, Invalid ones too
    CLAIMED = "claimed"
    CLAIMS = "claims"  # statements that brought something, whatever the number of messages
    RETRIED = "retried"  # a try failed, another will follow
    RETURNED = "returned"  # given back by its worker: it stops, a breaker is open, it can't carry the type out
    RESCUED = "rescued"  # given back after its worker was lost
    WOKEN = "woken"  # wake-ups published
    NOT_WOKEN = "not woken"  # wake-ups that the broker didn't take
    WAKE_SPARED = "wake spared"  # one was on its way, or the broker has just failed
    CALLED = "called"  # calls of handlers on the event loop; see `called`


def final(status: Status) -> str:
    """Return the event of a message that reached a final status: complete, failed, invalid, cancelled."""
    return status.name.lower()


def called(ending: str) -> str:
    """Return the event of a call that ended so: `called: complete`. Its seconds are the call's own."""
    return f"{Event.CALLED.value}: {ending}"


class Key(NamedTuple):
    """What a figure is about. `minute`: Unix time of its beginning."""

    minute: int
    type: str
    lane: str
    event: str


@dataclass(slots=True)
class Figure:
    """How often, how long in all, and how that spreads over the buckets."""

    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=list)


class Measures:
    """The figures of one process that are not known to be in the ledger yet. Safe from any thread."""

    def __init__(self) -> None:
        """Begin to count, under a name of its own."""
        self.process = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._figures: dict[Key, Figure] = {}
        self._changed: set[Key] = set()

    def add(self, event: str, *, n: int, durations: Sequence[float], of_type: str, lane: str) -> None:
        """Count an event `n` times; the durations of those that were timed, in seconds."""
        places = [bisect.bisect_left(BOUNDS, seconds) for seconds in durations]
        with self._lock:
            key = Key(int(time.time()) // 60 * 60, of_type, lane, event)
            figure = self._figures.get(key)
            if figure is None:
                figure = self._figures[key] = Figure()
            self._changed.add(key)
            figure.count += n
            if places:
                figure.buckets = figure.buckets or [0] * (len(BOUNDS) + 1)
                figure.seconds += sum(durations)
                for place in places:
                    figure.buckets[place] += 1

    def take_changed(self) -> dict[Key, Figure]:
        """Return the figures that have changed since they were last taken, each the whole of its minute."""
        with self._lock:
            changed, self._changed = self._changed, set()
            return {
                key: Figure(figure.count, figure.seconds, figure.buckets.copy())
                for key in changed
                if (figure := self._figures.get(key))
            }

    def put_back(self, keys: Iterable[Key]) -> None:
        """Have figures written once more: they didn't reach the ledger, or may not have."""
        with self._lock:
            self._changed.update(keys)

    def forget(self, keys: Iterable[Key]) -> None:
        """Drop those of past minutes that the ledger has: they can't change any more."""
        with self._lock:
            minute = int(time.time()) // 60 * 60
            for key in keys:
                if key.minute < minute and key not in self._changed:
                    self._figures.pop(key, None)


_own = Measures()


def own() -> Measures:
    """Return this process's figures."""
    return _own


def _begin_anew() -> None:
    """After a fork: the child's figures are not its parent's."""
    global _own  # noqa: PLW0603 - one a process, by its nature
    _own = Measures()


os.register_at_fork(after_in_child=_begin_anew)


def count(event: str, n: int = 1, *, of_type: str = "", lane: str = "") -> None:
    """Count an event of messages of a type, or of a lane."""
    if n:
        _own.add(event, n=n, durations=(), of_type=of_type, lane=lane)


def observe(event: str, durations: Sequence[float], *, of_type: str, lane: str) -> None:
    """Count an event once for each duration, in seconds."""
    if durations:
        _own.add(event, n=len(durations), durations=durations, of_type=of_type, lane=lane)


def quantile(buckets: Sequence[int], share: float) -> float | None:
    """Estimate the duration below which `share` of the counted lie: linear within a bucket, None without any.

    As Prometheus's histogram_quantile does: what lies above the last bound counts as that bound.
    """
    wanted = share * sum(buckets)
    below = 0
    for place, counted in enumerate(buckets):
        if counted and below + counted >= wanted:
            if place == len(BOUNDS):
                return BOUNDS[-1]
            lower = BOUNDS[place - 1] if place else 0.0
            return lower + (BOUNDS[place] - lower) * (wanted - below) / counted
        below += counted
    return None
