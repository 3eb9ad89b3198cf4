"""Circuit breakers, shared by all worker processes: the SQL of a lane whose back ends don't answer.

In: what each process saw of a lane's back ends. Out: open or closed, who may probe, and `states()` for whoever shows
it. Called by the fuses of the workers, and by windows of operators.

The row is the truth; claims look at it (`queue.claim`), so an open breaker keeps its messages Queued and untouched.
No row, or one lost with the server's last moments (`synchronous_commit = off`): closed, and soon opened again.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from django.conf import settings
from django.db import connection


class BreakerStatus(Enum):
    """Whether messages of a lane may be claimed."""

    CLOSED = "closed"
    OPEN = "open"  # none, until the next probe
    HALF_OPEN = "half open"  # one message is out as a probe
    HELD = "held"  # closed, but a back end asked all to wait until `held_until`


@dataclass(frozen=True, slots=True)
class BreakerState:
    """A lane's breaker, and how its back ends have fared lately. A lane that was never called has none.

    `since`: when it opened. `failures`: in a row, over all processes. `probes`: failed ones since it opened, and
    `probe_at` the next. `calls` were answered (whatever the status) and took `seconds` together; `recent_seconds`: what
    one took lately.
    All but the status is at most a heartbeat old.
    """

    lane: str
    status: BreakerStatus
    since: datetime | None
    failures: int
    probes: int
    probe_at: datetime | None
    held_until: datetime | None
    calls: int
    seconds: float
    recent_seconds: float | None
    last_answer_at: datetime | None
    last_failure_at: datetime | None
    last_failure: str | None

    @property
    def broken(self) -> bool:
        """Whether the back end counts as down."""
        return self.status in {BreakerStatus.OPEN, BreakerStatus.HALF_OPEN}


# A row a lane that has back ends: tens, read whole.
_STATES = """
SELECT lane,
    CASE WHEN opened_at IS NOT NULL AND probing_until > now() THEN 'half open'
         WHEN opened_at IS NOT NULL THEN 'open'
         WHEN held_until > now() THEN 'held' ELSE 'closed' END,
    opened_at, failures, probes, probe_at, CASE WHEN held_until > now() THEN held_until END,
    calls, seconds, recent_seconds, last_answer_at, last_failure_at, last_failure
FROM orchestrator_breaker ORDER BY lane
"""


def states() -> list[BreakerState]:
    """Return the state of every lane's breaker, by lane name. One short statement."""
    with connection.cursor() as cursor:
        cursor.execute(_STATES)
        return [BreakerState(lane, BreakerStatus(word), *rest) for lane, word, *rest in cursor.fetchall()]


class Probe(Enum):
    """What became of a message that was let through an open breaker."""

    ANSWERED = "answered"
    FAILED = "failed"
    VOID = "void"  # it never reached its call: the next one may try at once


@dataclass(frozen=True, slots=True)
class Sight:
    """What one process saw of a lane's back ends since it last told.

    `answered`: any call was. `failures`: in a row, after the last answer. `hold`: seconds that a back end asked for.
    """

    answered: bool = False
    failures: int = 0
    calls: int = 0
    seconds: float = 0.0
    last_failure: str | None = None
    hold: float | None = None
    probe: Probe | None = None


_IN_A_ROW = "(CASE WHEN %(answered)s THEN 0 ELSE failures END + %(failures)s)"
_OPENS = f"opened_at IS NULL AND %(breaker)s > 0 AND %(failures)s > 0 AND {_IN_A_ROW} >= %(breaker)s"

# By primary key. The processes' sights are added up in the order in which they get the row's lock: every right side
# reads the row as the one before left it. `recent_seconds` forgets half of what was after some 14 calls.
_TELL = f"""
UPDATE orchestrator_breaker SET
    failures = CASE WHEN %(closing)s THEN 0 ELSE {_IN_A_ROW} END,
    opened_at = CASE WHEN %(closing)s THEN NULL WHEN {_OPENS} THEN now() ELSE opened_at END,
    probe_at = CASE WHEN %(closing)s THEN NULL
        WHEN {_OPENS} THEN now() + %(first)s * interval '1 second'
        WHEN opened_at IS NOT NULL AND %(probe_failed)s THEN now()
            + least(%(ceiling)s, %(first)s * 2 ^ least(probes + 1, 30)) * (0.75 + random() / 4) * interval '1 second'
        ELSE probe_at END,
    probing_until = CASE WHEN %(probed)s THEN NULL ELSE probing_until END,
    probes = CASE WHEN opened_at IS NULL OR %(closing)s THEN 0 ELSE probes + %(probe_failed)s::int END,
    held_until = greatest(held_until, now() + %(hold)s * interval '1 second'),
    calls = calls + %(calls)s,
    seconds = seconds + %(seconds)s,
    recent_seconds = CASE WHEN %(calls)s = 0 THEN recent_seconds
        ELSE coalesce(recent_seconds, %(mean)s) * 0.95 ^ %(calls)s + %(mean)s * (1 - 0.95 ^ %(calls)s) END,
    last_answer_at = CASE WHEN %(answered)s THEN now() ELSE last_answer_at END,
    last_failure_at = CASE WHEN %(last_failure)s::text IS NULL THEN last_failure_at ELSE now() END,
    last_failure = coalesce(%(last_failure)s, last_failure)
WHERE lane = %(lane)s AND (SELECT true FROM set_config('synchronous_commit', 'off', true))
RETURNING opened_at IS NOT NULL, failures
"""  # noqa: S608 - the pieces are ours

# Two processes at the same moment: the second waits for the first's row lock, finds `probing_until` set, and gets none.
_TAKE_PROBE = """
UPDATE orchestrator_breaker SET probing_until = now() + %(seconds)s * interval '1 second'
WHERE lane = %(lane)s AND opened_at IS NOT NULL AND probe_at <= now() AND coalesce(probing_until <= now(), true)
  AND (SELECT true FROM set_config('synchronous_commit', 'off', true))
"""

_CLOSE = """
UPDATE orchestrator_breaker
SET opened_at = NULL, probe_at = NULL, probing_until = NULL, probes = 0, failures = 0, held_until = NULL
WHERE lane = %(lane)s AND (opened_at IS NOT NULL OR held_until > now())
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a lane stands after a process told what it saw: is its breaker open, how many failures came in a row."""

    broken: bool
    failures: int


def tell(lane: str, sight: Sight, *, breaker: int) -> Standing:
    """Add what a process saw; `breaker`: so many failures in a row open the breaker (0: none do)."""
    told: dict[str, Any] = {
        "lane": lane,
        "breaker": breaker,
        "answered": sight.answered,
        "failures": sight.failures,
        "calls": sight.calls,
        "seconds": sight.seconds,
        "mean": sight.seconds / max(sight.calls, 1),
        "last_failure": sight.last_failure,
        "hold": sight.hold,
        "probed": sight.probe is not None,
        "probe_failed": sight.probe is Probe.FAILED,
        "closing": sight.probe is Probe.ANSWERED,
        "first": settings.WAYBILL_PROBE_FIRST,
        "ceiling": settings.WAYBILL_PROBE_CEILING,
    }
    with connection.cursor() as cursor:
        cursor.execute(_TELL, told)
        if not cursor.rowcount:
            cursor.execute("INSERT INTO orchestrator_breaker (lane) VALUES (%s) ON CONFLICT DO NOTHING", (lane,))
            cursor.execute(_TELL, told)
        [(broken, failures)] = cursor.fetchall()
    return Standing(broken=broken, failures=failures)


def take_probe(lane: str, *, seconds: float) -> bool:
    """Take the right to let one message through an open breaker, for so long; tell whether it is ours.

    A process that dies with it leaves it to run out.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_PROBE, {"lane": lane, "seconds": seconds})
        return bool(cursor.rowcount)


def close(lane: str) -> bool:
    """Close a lane's breaker, and hold the lane no longer; tell whether it was open or held. The caller wakes it."""
    with connection.cursor() as cursor:
        cursor.execute(_CLOSE, {"lane": lane})
        return bool(cursor.rowcount)
