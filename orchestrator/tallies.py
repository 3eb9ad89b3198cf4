"""The SQL of the figures: written by each process, folded when old, summed for whoever looks.

In: what `measures` counted. Out: rows of `orchestrator_tally`, and their sums. Called by housekeeping, the web
process's own thread, the end of a command, a rare chore, and the metrics.
"""

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.db.backends.utils import CursorWrapper

from orchestrator import measures
from orchestrator.measures import BOUNDS, Figure, Key

log = structlog.get_logger(__name__)

SPANS = ("minute", "hour", "day", "ever")
"""What `process` says of folded rows: the span that begins at their `minute`; `ever` begins in 1970."""

_TIMEOUT = "3s"

# Each row is the whole of its minute, not what was added to it: writing it twice, because the first COMMIT's answer was
# lost, changes nothing. Nobody else writes this process's rows, so nobody waits.
_WRITE = """
INSERT INTO orchestrator_tally AS tally (minute, process, type, lane, event, count, seconds, buckets)
SELECT to_timestamp(minute), %(process)s, type, lane, event, count, seconds, buckets::bigint[]
FROM unnest(%(minutes)s::bigint[], %(types)s::text[], %(lanes)s::text[], %(events)s::text[], %(counts)s::bigint[],
            %(seconds)s::float8[], %(buckets)s::text[])
    AS counted (minute, type, lane, event, count, seconds, buckets)
ON CONFLICT (minute, process, type, lane, event)
DO UPDATE SET count = EXCLUDED.count, seconds = EXCLUDED.seconds, buckets = EXCLUDED.buckets
"""

_EACH_BUCKET = ", ".join(f"coalesce(sum(buckets[{place}]), 0)::bigint" for place in range(1, len(BOUNDS) + 2))
_BUCKETS = f"CASE WHEN max(cardinality(buckets)) > 0 THEN ARRAY[{_EACH_BUCKET}] ELSE '{{}}' END"

# By primary key, which begins with the minute. The rows of a process that was cut off from the ledger for longer than
# they stay by themselves may be counted twice: once folded, once written again.
_FOLD = f"""
WITH old AS (
    DELETE FROM orchestrator_tally
    WHERE minute < %(before)s AND (process = %(source)s OR %(source)s = '' AND process <> ALL (%(spans)s))
    RETURNING *
)
INSERT INTO orchestrator_tally AS tally (minute, process, type, lane, event, count, seconds, buckets)
SELECT CASE WHEN %(target)s = 'ever' THEN 'epoch' ELSE date_trunc(%(target)s, minute) END, %(target)s,
    type, lane, event, sum(count), sum(seconds), {_BUCKETS}
FROM old GROUP BY 1, type, lane, event
ON CONFLICT (minute, process, type, lane, event) DO UPDATE SET
    count = tally.count + EXCLUDED.count,
    seconds = tally.seconds + EXCLUDED.seconds,
    buckets = ARRAY(
        SELECT coalesce(mine, 0) + coalesce(theirs, 0)
        FROM unnest(tally.buckets, EXCLUDED.buckets) WITH ORDINALITY AS pairs (mine, theirs, place) ORDER BY place
    )
"""  # noqa: S608 - the pieces are ours

# All rows: folding keeps them few, some thousands.
_SUM = f"""
SELECT type, lane, event, sum(count)::bigint, sum(seconds), {_BUCKETS}
FROM orchestrator_tally WHERE minute >= coalesce(now() - %(age)s::interval, '-infinity')
GROUP BY type, lane, event ORDER BY event, type, lane
"""  # noqa: S608 - the pieces are ours


@dataclass(frozen=True, slots=True)
class Step:
    """Rows of one span that are old enough become rows of the next. A `source` of "" is the processes' own rows."""

    source: str
    target: str
    age: timedelta


STEPS = (
    Step("", "minute", timedelta(minutes=10)),
    Step("minute", "hour", timedelta(hours=2)),
    Step("hour", "day", timedelta(days=3)),
    Step("day", "ever", timedelta(days=40)),
)


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of what was counted of one event, type and lane. `buckets` as in `Tally`."""

    type: str
    lane: str
    event: str
    count: int
    seconds: float
    buckets: list[int]


def write() -> None:
    """Write what has changed of this process's figures. Raises the database's error; nothing is lost then."""
    own = measures.own()
    changed = own.take_changed()
    if not changed:
        return
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            _bound(cursor)
            cursor.execute(_WRITE, _columns(changed, process=own.process))
    except BaseException:
        own.put_back(changed)
        raise
    own.forget(changed)


def write_last() -> None:
    """Write what is left at the end of a process; a ledger that is away must not hold the end up."""
    try:
        write()
    except Exception as error:  # noqa: BLE001 - figures only
        log.info("last figures not written", error=repr(error))


def fold() -> None:
    """Put old rows together. Two at the same time: the second leaves it to the first."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('waybill: tallies', 0)), now()")
        free, now = cursor.fetchone()
        for step in STEPS if free else ():
            cursor.execute(
                _FOLD,
                {"source": step.source, "target": step.target, "before": now - step.age, "spans": list(SPANS)},
            )


def read_totals(*, since: timedelta | None = None) -> list[Total]:
    """Sum what all processes counted, ever or `since` so long ago."""
    with transaction.atomic(), connection.cursor() as cursor:
        _bound(cursor)
        asked: dict[str, Any] = {"age": since}
        cursor.execute(_SUM, asked)
        return [Total(*row) for row in cursor.fetchall()]


def _columns(changed: dict[Key, Figure], *, process: str) -> dict[str, Any]:
    return {
        "process": process,
        "minutes": [key.minute for key in changed],
        "types": [key.type for key in changed],
        "lanes": [key.lane for key in changed],
        "events": [key.event for key in changed],
        "counts": [figure.count for figure in changed.values()],
        "seconds": [figure.seconds for figure in changed.values()],
        "buckets": ["{" + ",".join(map(str, figure.buckets)) + "}" for figure in changed.values()],
    }


def _bound(cursor: CursorWrapper) -> None:
    """Figures wait for no disk, and nothing waits long for figures."""
    cursor.execute(
        "SELECT set_config('statement_timeout', %s, true), set_config('synchronous_commit', 'off', true)", (_TIMEOUT,)
    )


class Writer:
    """The thread that writes the figures of a process which keeps no house: a web process."""

    def __init__(self) -> None:
        """Write from `start` on."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="figures", daemon=True)

    def start(self) -> None:
        """Begin to write at every heartbeat."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, and end."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.wait(settings.WAYBILL_HEARTBEAT):
            try:
                close_old_connections()
                write()
            except Exception as error:  # noqa: BLE001 - the next heartbeat writes them
                log.info("figures not written", error=repr(error))
            connection.close()
        write_last()
        connection.close()
