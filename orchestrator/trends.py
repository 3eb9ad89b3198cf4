"""How it has been going: rates of the last minutes, and the last hour and day as charts.

In: the tally, which every process writes at each heartbeat. Out: figures a lane, a type, a point of a chart. Called by
the desk's dashboard and `manage.py top`.

Nothing here looks at a message: a few thousand rows of sums tell of any number of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from django.db import connection

from orchestrator import measures
from orchestrator.lifecycle import Status
from orchestrator.measures import BOUNDS
from orchestrator.outcomes import Ending

_COMPLETE, _FAILED = measures.final(Status.COMPLETE), measures.final(Status.FAILED)
_CALLED = measures.called("")
_FINE = {_COMPLETE, *(measures.called(ending.value) for ending in (Ending.COMPLETE, Ending.REJECTED))}
"""A back end that says no is well."""
_RATES_OVER = 5
"""Minutes. What is done a minute is told of the last one and the one that runs: it must follow what happens now."""

# The sum of arrays, place by place; rows without a duration have empty ones.
_BUCKETS = (
    f"""ARRAY[{", ".join(f"coalesce(sum(buckets[{place}]), 0)::bigint" for place in range(1, len(BOUNDS) + 2))}]"""
)

# By primary key, which begins with the minute: the rows of six minutes, a few a lane and process.
_RATES = f"""
SELECT lane, type, event, sum(count)::bigint, coalesce(sum(count) FILTER (
        WHERE minute >= date_trunc('minute', now()) - interval '1 minute'
    ), 0)::bigint,
    extract(epoch FROM now() - date_trunc('minute', now()))::float8 + 60,
    {_BUCKETS}
FROM orchestrator_tally
WHERE minute >= date_trunc('minute', now()) - %(minutes)s * interval '1 minute'
  AND (event = ANY (%(finals)s) OR starts_with(event, %(called)s))
GROUP BY lane, type, event
"""  # noqa: S608 - the pieces are ours

# By primary key too. A day's rows are a minute's of the last two hours, an hour's before that (`tallies.STEPS`).
_HISTORY = f"""
SELECT date_trunc(%(step)s, minute), event, sum(count)::bigint, {_BUCKETS}
FROM orchestrator_tally
WHERE minute >= date_trunc(%(step)s, now()) - (%(points)s - 1) * %(length)s::interval
  AND event = ANY (%(finals)s) AND (lane = %(lane)s OR %(lane)s = '')
GROUP BY 1, event
"""  # noqa: S608

_TIMES = """
SELECT generate_series(date_trunc(%(step)s, now()) - (%(points)s - 1) * %(length)s::interval, now(), %(length)s)
"""


@dataclass(slots=True)
class Rate:
    """How work has gone lately: what ended in the last minutes, how much of it failed, how long it took in seconds."""

    ended: int = 0
    failed: int = 0
    a_minute: float = 0.0
    buckets: tuple[int, ...] = ()

    @property
    def failure_rate(self) -> float | None:
        """The share that failed; None when nothing ended."""
        return self.failed / self.ended if self.ended else None

    def quantile(self, share: float) -> float | None:
        """Estimate the seconds within which `share` ended; None when nothing did."""
        return measures.quantile(self.buckets, share)

    def add(self, *, count: int, failed: bool, a_minute: float, buckets: Iterable[int]) -> None:
        """Add what was counted of one event."""
        self.ended += count
        self.failed += count if failed else 0
        self.a_minute += a_minute
        self.buckets = _sum(self.buckets, buckets)


@dataclass(frozen=True, slots=True)
class Rates:
    """The rate of messages by lane, from received to final; of all together; and of calls by message type."""

    lanes: dict[str, Rate]
    calls: dict[str, Rate]
    whole: Rate


class Span(Enum):
    """How far back a chart looks: the length of its points, as SQL names it, and their number."""

    HOUR = ("minute", 60)
    DAY = ("hour", 24)


@dataclass(frozen=True, slots=True)
class Point:
    """What became final in a minute or an hour that began `at`; seconds from received to final, None if nothing ran."""

    at: datetime
    complete: int
    failed: int
    p50: float | None
    p95: float | None


def read_rates() -> Rates:
    """Return how work has gone in the last five minutes; what is done a minute, in the last one or two."""
    asked = {
        "minutes": _RATES_OVER,
        "finals": [_COMPLETE, _FAILED],
        "called": _CALLED,
    }
    rates = Rates(lanes={}, calls={}, whole=Rate())
    for lane, message_type, event, count, lately, seconds, buckets in _fetch(_RATES, asked):
        for rate in _rates_of_event(rates, event=event, lane=lane, message_type=message_type):
            rate.add(count=count, failed=event not in _FINE, a_minute=lately * 60 / seconds, buckets=buckets)
    return rates


def _rates_of_event(rates: Rates, *, event: str, lane: str, message_type: str) -> list[Rate]:
    if event.startswith(_CALLED):
        return [rates.calls.setdefault(message_type, Rate())]
    return [rates.lanes.setdefault(lane, Rate()), rates.whole]


def read_history(span: Span, *, lane: str = "") -> list[Point]:
    """Return a chart's points, oldest first, the last one still running; of one lane, or of all."""
    step, points = span.value
    asked = {
        "step": step,
        "length": f"1 {step}",
        "points": points,
        "finals": [_COMPLETE, _FAILED],
        "lane": lane,
    }
    counts: dict[datetime, dict[str, int]] = {}
    buckets: dict[datetime, tuple[int, ...]] = {}
    for at, event, count, counted in _fetch(_HISTORY, asked):
        counts.setdefault(at, {})[event] = count
        buckets[at] = _sum(buckets.get(at, ()), counted)
    return [
        Point(
            at=at,
            complete=counts.get(at, {}).get(_COMPLETE, 0),
            failed=counts.get(at, {}).get(_FAILED, 0),
            p50=measures.quantile(buckets.get(at, ()), 0.5),
            p95=measures.quantile(buckets.get(at, ()), 0.95),
        )
        for (at,) in _fetch(_TIMES, asked)
    ]


def _sum(one: Iterable[int], other: Iterable[int]) -> tuple[int, ...]:
    before = tuple(one)
    return tuple(map(sum, zip(before, other, strict=True))) if before else tuple(other)


def _fetch(statement: str, asked: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        return list(cursor.fetchall())
