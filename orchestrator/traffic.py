"""The HTTP calls that this web process answers, counted in memory.

In: each call's method, route, status and time. Out: figures for the metrics. Called by the server's entry.

A route is a template, never a path, and a method one of the known ones: what a client sends names no figure.
"""

import bisect
import threading
from dataclasses import dataclass, field

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper bounds of the buckets of durations, in seconds; one bucket more is for what took longer."""

UNROUTED = "unrouted"
"""The route of what led nowhere, or was refused before anybody looked where it leads."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(slots=True)
class Duration:
    """How long the calls of one method and route took until their answer began."""

    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))


@dataclass(frozen=True, slots=True)
class Figures:
    """What was counted: answers by method, route and status; durations by method and route."""

    answers: dict[tuple[str, str, int], int]
    durations: dict[tuple[str, str], Duration]


_lock = threading.Lock()
_answers: dict[tuple[str, str, int], int] = {}
_durations: dict[tuple[str, str], Duration] = {}


def note(*, method: str, route: str | None, status: int, seconds: float) -> None:
    """Count an answer; `seconds` from the call's arrival to the first byte of its answer: a stream goes on after."""
    named = method if method in _METHODS else "other", route or UNROUTED
    place = bisect.bisect_left(BOUNDS, seconds)
    with _lock:
        _answers[*named, status] = _answers.get((*named, status), 0) + 1
        duration = _durations.get(named)
        if duration is None:
            duration = _durations[named] = Duration()
        duration.seconds += seconds
        duration.buckets[place] += 1


def read() -> Figures:
    """Return what was counted since the process began."""
    with _lock:
        return Figures(
            answers=dict(_answers),
            durations={key: Duration(known.seconds, known.buckets.copy()) for key, known in _durations.items()},
        )
