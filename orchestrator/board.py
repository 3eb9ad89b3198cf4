"""What is going on now: the SQL of the live figures.

In: the ledger. Out: lanes with what waits and runs in them, workers with what they hold. Called by the desk's
dashboard, the commands and whoever else shows the present.

No table is ever counted. What waits in a lane is counted along `message_claimable`, a partial index that holds nothing
else, at every look up to `COUNTED_AT_ONCE` entries (3 ms). A longer lane is counted to its end, which takes 0.7 s a
million, but only after `_RARELY` times as long as that took, and the figure says how old it is: so it is true however
long the lane is, and a board that hangs on a wall costs the ledger a twentieth of one core at most.
"""

import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import orjson
import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

from orchestrator.lifecycle import WORDS

log = structlog.get_logger(__name__)

COUNTED_AT_ONCE = 10_000
_NEXT_IN_LINE = 200
_RETRIES_LOOKED_AT = 2_000
_RARELY = 20
_TIMEOUT = "3s"

# Two probes of message_claimable a lane: `queued`, an index-only scan that ends at the bound; and the next in line, one
# of whom has waited longest, since turns are fair and the oldest of a client stands at its head. `running`, once for
# all lanes: the claims, as many as workers work on now, and message_claimed for what each still holds.
_LANES = """
SELECT lane.name, lane.queue, lane.paused, waiting.queued, next.oldest, coalesce(running.processing, 0)
FROM orchestrator_lane AS lane
CROSS JOIN LATERAL (
    SELECT count(*) AS queued FROM (
        SELECT FROM orchestrator_message
        WHERE lane = lane.name AND status = %(queued)s AND available_at IS NULL LIMIT %(bound)s
    ) AS counted
) AS waiting
CROSS JOIN LATERAL (
    SELECT extract(epoch FROM statement_timestamp() - min(received_at))::float8 AS oldest
    FROM (VALUES (false), (true)) AS kind (suspect) CROSS JOIN LATERAL (
        SELECT received_at FROM orchestrator_message
        WHERE lane = lane.name AND suspect = kind.suspect AND status = %(queued)s AND available_at IS NULL
        ORDER BY turn LIMIT %(next)s
    ) AS head
) AS next
LEFT JOIN (
    SELECT claim.lane, count(*) AS processing FROM orchestrator_claim AS claim
    JOIN orchestrator_message AS message ON message.claim_id = claim.id AND message.status = %(processing)s
    GROUP BY claim.lane
) AS running ON running.lane = lane.name
ORDER BY lane.name
"""

# To the end of the lane, along message_claimable alone.
_WHOLE_LANE = """
SELECT count(*) FROM orchestrator_message WHERE lane = %(lane)s AND status = %(queued)s AND available_at IS NULL
"""

# The next retries due, by message_retry.
_RETRIES = """
SELECT lane, count(*) FROM (
    SELECT lane FROM orchestrator_message
    WHERE status = %(queued)s AND available_at IS NOT NULL ORDER BY available_at LIMIT %(bound)s
) AS due GROUP BY lane
"""

# A row a process; claim_worker finds its claims, message_claimed what they still hold.
_WORKERS = """
SELECT worker.id, worker.host, worker.pid, worker.queues, worker.started_at, worker.draining, worker.resting,
    extract(epoch FROM statement_timestamp() - worker.heartbeat_at)::float8,
    (SELECT coalesce(jsonb_object_agg(lane, holds), '{}') FROM (
        SELECT claim.lane, count(*) AS holds FROM orchestrator_claim AS claim
        JOIN orchestrator_message AS message ON message.claim_id = claim.id AND message.status = %(processing)s
        WHERE claim.worker_id = worker.id GROUP BY claim.lane
    ) AS held)
FROM orchestrator_worker AS worker ORDER BY worker.host, worker.pid, worker.id
"""

# A row a message type that is an HTTP service: tens.
_BACKENDS = """
SELECT message_type, url, coalesce(nullif(lane, ''), message_type) FROM orchestrator_backend ORDER BY message_type
"""

_BOUND = """
SELECT set_config('statement_timeout', %(timeout)s, true), set_config('max_parallel_workers_per_gather', '0', true)
"""


@dataclass(frozen=True, slots=True)
class Count:
    """How many; `at_least`: the counting ended there; `seconds_old`: how long ago it was counted."""

    number: int
    at_least: bool = False
    seconds_old: float = 0.0


@dataclass(frozen=True, slots=True)
class LaneNow:
    """A lane: what can be claimed in it, how long the longest wait is in seconds, what runs, what is to be retried."""

    name: str
    queue: str
    paused: bool
    queued: Count
    oldest: float | None
    processing: int
    retrying: Count


@dataclass(frozen=True, slots=True)
class WorkerNow:
    """A worker process; `silent` seconds since its last heartbeat; `holds`: messages by lane.

    `draining`: it was told to claim no more; `resting`: it has heard.
    """

    id: uuid.UUID
    host: str
    pid: int
    queues: list[str]
    started_at: datetime
    draining: bool
    resting: bool
    silent: float
    holds: dict[str, int]

    @property
    def is_alive(self) -> bool:
        """Whether its leases stand: one that is silent for longer has lost what it held."""
        return self.silent < settings.WAYBILL_LEASE


@dataclass(frozen=True, slots=True)
class BackendNow:
    """An HTTP service, and the lane in which its messages wait."""

    message_type: str
    url: str
    lane: str


def read_lanes() -> list[LaneNow]:
    """Return every lane by name."""
    with _looking() as cursor:
        cursor.execute(_LANES, {"bound": COUNTED_AT_ONCE + 1, "next": _NEXT_IN_LINE, **WORDS})
        rows = cursor.fetchall()
        retrying = _read_retries(cursor)
    long_ones = _long_lanes.look([name for name, _, _, queued, *_ in rows if queued > COUNTED_AT_ONCE])
    return [
        LaneNow(
            name=name,
            queue=queue,
            paused=paused,
            queued=long_ones.get(name) or Count(queued),
            oldest=oldest,
            processing=processing,
            retrying=retrying.get(name) or Count(0),
        )
        for name, queue, paused, queued, oldest, processing in rows
    ]


def read_workers() -> list[WorkerNow]:
    """Return every worker process that has not left, silent ones too, by host and process id."""
    with _looking() as cursor:
        cursor.execute(_WORKERS, WORDS)
        return [
            WorkerNow(
                id=worker_id,
                host=host,
                pid=pid,
                queues=orjson.loads(queues),
                started_at=started_at,
                draining=draining,
                resting=resting,
                silent=silent,
                holds=orjson.loads(holds),
            )
            for worker_id, host, pid, queues, started_at, draining, resting, silent, holds in cursor.fetchall()
        ]


def read_backends() -> list[BackendNow]:
    """Return every back end by message type."""
    with _looking() as cursor:
        cursor.execute(_BACKENDS)
        return [BackendNow(*row) for row in cursor.fetchall()]


class _LongLanes:
    """The lengths of lanes that are too long to be counted at every look."""

    def __init__(self) -> None:
        self._counting = threading.Lock()
        self._known: dict[str, _Length] = {}

    def look(self, lanes: Sequence[str]) -> dict[str, Count]:
        """Return how long each of these lanes is, as far as it is known; one thread at a time counts."""
        if self._counting.acquire(blocking=False):
            try:
                self._known = {lane: self._known.get(lane) or _Length() for lane in lanes}
                for lane, length in self._known.items():
                    if length.is_due():
                        length.count(lane)
            finally:
                self._counting.release()
        known = self._known
        return {lane: known.get(lane, _Length()).told() for lane in lanes}


class _Length:
    """What is known of one long lane."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._counted_at = self._due_at = float("-inf")

    def is_due(self) -> bool:
        return time.monotonic() >= self._due_at

    def count(self, lane: str) -> None:
        """Count to the end; one that takes too long leaves the last known number."""
        began = time.monotonic()
        try:
            with _looking() as cursor:
                cursor.execute(_WHOLE_LANE, {"lane": lane, **WORDS})
                [self._number] = cursor.fetchone()
            self._counted_at = began
        except OperationalError as error:  # the timeout
            log.info("lane not counted", lane=lane, error=repr(error))
        now = time.monotonic()
        self._due_at = now + _RARELY * (now - began)

    def told(self) -> Count:
        if self._number is None:
            return Count(COUNTED_AT_ONCE, at_least=True)
        return Count(self._number, seconds_old=time.monotonic() - self._counted_at)


_long_lanes = _LongLanes()


def _read_retries(cursor: CursorWrapper) -> dict[str, Count]:
    cursor.execute(_RETRIES, {"bound": _RETRIES_LOOKED_AT, **WORDS})
    rows = cursor.fetchall()
    cut_off = sum(number for _, number in rows) == _RETRIES_LOOKED_AT
    return {lane: Count(number, at_least=cut_off) for lane, number in rows}


@contextmanager
def _looking() -> Iterator[CursorWrapper]:
    """A look is short, and on one core: it must not take from those who work."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_BOUND, {"timeout": _TIMEOUT})
        yield cursor
