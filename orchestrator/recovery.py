"""Put right what was left lying: the SQL of housekeeping, one chore a function.

In: nothing but the ledger. Out: retries released, lost claims given back, lanes that need a wake-up. Called by the
housekeeping thread of every worker process, leader-free: SKIP LOCKED keeps two of them from waiting for each other.
"""

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from orchestrator import database_errors, failpoints, finishing, handlers, locking, measures, outcomes
from orchestrator.failpoints import Place
from orchestrator.finishing import Effects, Finished
from orchestrator.handlers import Kind
from orchestrator.lifecycle import FINAL, WORDS, FailureKind, Status
from orchestrator.measures import Event

log = structlog.get_logger(__name__)

_CHORE_TIMEOUT = "5s"
_BATCH = 500
_CLAIMS_A_SWEEP = 20

# message_retry finds them. Each gets the clock plus its rank among its client's messages of this release: it stands
# beside the first of everybody. The messages stay Queued, so a stop that runs at the same moment cancels them, before
# or after: no lock of the request is needed.
_RELEASE = """
WITH due AS MATERIALIZED (
    SELECT id, client_id, lane, turn FROM orchestrator_message
    WHERE status = %(queued)s AND available_at <= now()
    ORDER BY available_at LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED
),
ranked AS MATERIALIZED (
    SELECT due.id,
        lane.clock + row_number() OVER (PARTITION BY due.lane, due.client_id ORDER BY due.turn, due.id) AS turn
    FROM due JOIN orchestrator_lane AS lane ON lane.name = due.lane
)
UPDATE orchestrator_message AS message SET turn = ranked.turn, available_at = NULL
FROM ranked WHERE message.id = ANY (ARRAY(SELECT id FROM due)) AND message.id = ranked.id
RETURNING message.lane
"""

# A handful of rows: one for each claim that is worked on now.
_SUSPECT = """
UPDATE orchestrator_claim SET suspected_at = now() WHERE id = ANY (ARRAY(
    SELECT id FROM orchestrator_claim WHERE leased_until < now() AND suspected_at IS NULL
    ORDER BY id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
))
"""

# The second look: a heartbeat later, and still not renewed. After an outage of the database the live workers renew
# first, which clears the suspicion.
_LOST_CLAIM = """
SELECT id, lane, alone FROM orchestrator_claim
WHERE leased_until < now() AND suspected_at < now() - %(heartbeat)s * interval '1 second'
ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
"""

# message_claimed finds them. `losses` counts every loss; only those alone condemn; calls (%(exempt)s) are our own code.
_GIVE_BACK = f"""
WITH held AS MATERIALIZED (
    SELECT id, request_id, type = ANY (%(exempt)s) AS exempt, request_id = ANY (%(stopped)s) AS stopped,
        (SELECT clock FROM orchestrator_lane WHERE name = %(lane)s)
            + row_number() OVER (PARTITION BY client_id ORDER BY turn, id) AS turn
    FROM orchestrator_message WHERE claim_id = %(claim_id)s AND status = %(processing)s
),
judged AS MATERIALIZED (
    SELECT held.*, %(alone)s AND NOT exempt AND losses_alone + 1 >= %(condemning)s AS condemned
    FROM held JOIN orchestrator_message USING (id)
)
UPDATE orchestrator_message AS message SET
    status = CASE WHEN judged.stopped THEN %(cancelled)s WHEN condemned THEN %(failed)s ELSE %(queued)s END,
    failure_kind = CASE WHEN condemned AND NOT judged.stopped THEN %(internal)s END,
    errors = CASE WHEN condemned AND NOT judged.stopped THEN %(errors)s::jsonb END,
    processed_at = CASE WHEN judged.stopped OR condemned THEN statement_timestamp() END,
    losses = losses + 1,
    losses_alone = losses_alone + CASE WHEN %(alone)s AND NOT judged.exempt THEN 1 ELSE 0 END,
    suspect = suspect OR NOT judged.exempt,
    turn = CASE WHEN judged.stopped OR condemned THEN request.total - request.open ELSE judged.turn END,
    claim_id = NULL
FROM judged JOIN orchestrator_request AS request ON request.id = judged.request_id WHERE message.id = judged.id
RETURNING message.status, {finishing.COLUMNS}
"""  # noqa: S608 - the pieces are ours

# The head of each lane by message_claimable, one index probe a lane and kind. `floors.py` says where it begins; for
# suspects, which the others pass by, at everything. A lane that may give nothing now has nothing to be woken for: one
# that is paused, whose breaker is open (until the next probe is due), that is held, or whose rate leaves no call.
_WAITING_LANES = """
SELECT lane.name, lane.queue FROM orchestrator_lane AS lane
WHERE NOT lane.paused AND NOT EXISTS (
    SELECT FROM orchestrator_breaker WHERE lane = lane.name AND greatest(held_until, probe_at, probing_until) > now()
) AND NOT EXISTS (
    SELECT FROM orchestrator_bucket WHERE lane = lane.name AND next_at > now()
) AND EXISTS (
    SELECT FROM (VALUES (false), (true)) AS kind (suspect) CROSS JOIN LATERAL (
        SELECT received_at FROM orchestrator_message
        WHERE lane = lane.name AND suspect = kind.suspect AND status = %(queued)s AND available_at IS NULL
          AND turn >= CASE WHEN kind.suspect THEN 0 ELSE coalesce((%(floors)s::jsonb ->> lane.name)::bigint, 0) END
        ORDER BY turn LIMIT 1
    ) AS head
    WHERE head.received_at < now() - %(stale)s * interval '1 second'
)
"""


class _LostClaim(NamedTuple):
    """A claim that nobody renewed, locked; `alone`: it held one suspect and nothing else."""

    claim_id: int
    lane: str
    alone: bool


@dataclass(frozen=True, slots=True)
class WaitingLane:
    """A lane whose head has been claimable for too long, and the Celery queue that serves it."""

    name: str
    queue: str


def release_due_retries() -> set[str]:
    """Make the retries whose time has come claimable; return their lanes, for the caller to wake."""
    with transaction.atomic(), connection.cursor() as cursor:
        _bound(cursor)
        cursor.execute(_RELEASE, {"limit": _BATCH, **WORDS})
        return {lane for (lane,) in cursor.fetchall()}


def suspect_expired_claims() -> int:
    """Take the first look at claims past their lease; return how many are newly suspected."""
    with transaction.atomic(), connection.cursor() as cursor:
        _bound(cursor)
        cursor.execute(_SUSPECT, {"limit": _BATCH})
        return int(cursor.rowcount)


def give_back_lost_claims() -> set[str]:
    """Give back what claims hold that were not renewed since the first look; return the lanes, to be woken."""
    lanes = set()
    for _ in range(_CLAIMS_A_SWEEP):
        if (lane := finishing.spare_the_others(_give_back_one)) is None:
            break
        lanes.add(lane)
    return lanes


@database_errors.repeat_deadlocked
def _give_back_one(effects: Effects) -> str | None:
    """One unit of work; returns the lane, None when no claim is lost.

    Locks in the house's order: claim → requests (by id) → messages → client lanes → effects.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        _bound(cursor)
        lost = _lock_lost_claim(cursor)
        if lost is None:
            return None
        requests = locking.lock_requests(cursor, _requests_of(cursor, lost))
        finished, rescued = _give_back(cursor, lost, stopped=requests.stopped)
        halted = outcomes.halt_failed(cursor, finished, halting=requests.halting)
        finishing.settle(cursor, [*finished, *halted], effects=effects)
        cursor.execute("DELETE FROM orchestrator_claim WHERE id = %s", (lost.claim_id,))
        failpoints.pass_by(Place.GIVING_BACK)
    for message_type, n in rescued.items():
        measures.count(Event.RESCUED, n, of_type=message_type, lane=lost.lane)
    log.warning("lost claim given back", **lost._asdict(), messages=len(finished) + rescued.total())
    return lost.lane


def _lock_lost_claim(cursor: CursorWrapper) -> _LostClaim | None:
    cursor.execute(_LOST_CLAIM, {"heartbeat": settings.WAYBILL_HEARTBEAT})
    found = cursor.fetchone()
    return _LostClaim._make(found) if found else None


def _requests_of(cursor: CursorWrapper, lost: _LostClaim) -> set[uuid.UUID]:
    cursor.execute(
        "SELECT DISTINCT request_id FROM orchestrator_message"  # message_claimed
        " WHERE claim_id = %(claim_id)s AND status = %(processing)s",
        {"claim_id": lost.claim_id, **WORDS},
    )
    return {request_id for (request_id,) in cursor.fetchall()}


def _give_back(
    cursor: CursorWrapper, lost: _LostClaim, *, stopped: Iterable[uuid.UUID]
) -> tuple[list[Finished], Counter[str]]:
    """Give back what a claim holds; return the messages that are final by that, and how many are Queued, by type."""
    cursor.execute(
        _GIVE_BACK,
        {
            **lost._asdict(),
            "stopped": list(stopped),
            "exempt": [known.name for known in handlers.catalogue().values() if known.kind is Kind.HTTP],
            "condemning": settings.WAYBILL_LOSSES_ALONE,
            "internal": FailureKind.INTERNAL.value,
            "errors": json.dumps([outcomes.INTERNAL_TEXT]),
            **WORDS,
        },
    )
    finished: list[Finished] = []
    rescued: Counter[str] = Counter()
    for word, *columns in cursor.fetchall():
        status = Status(word)
        if status in FINAL:
            finished.append(_finished(columns, status))
        else:
            _, _, _, message_type, *_ = columns
            rescued[message_type] += 1
    return finished, rescued


def _finished(columns: Sequence[Any], status: Status) -> Finished:
    if status is Status.FAILED:
        return Finished(*columns, status=status, failure_kind=FailureKind.INTERNAL, errors=(outcomes.INTERNAL_TEXT,))
    return Finished(*columns, status=status)


def find_waiting_lanes(floors: Mapping[str, int] | None = None) -> list[WaitingLane]:
    """Return the lanes whose oldest claimable message, from their floor on, has waited longer than it should."""
    with transaction.atomic(), connection.cursor() as cursor:
        _bound(cursor)
        asked: dict[str, Any] = {"stale": settings.WAYBILL_STALE_WAKE, "floors": json.dumps(floors or {})}
        cursor.execute(_WAITING_LANES, asked | WORDS)
        return [WaitingLane(name=name, queue=queue) for name, queue in cursor.fetchall()]


def forget_silent_workers() -> None:
    """Take workers that have long been silent, and hold nothing, off the list."""
    with transaction.atomic(), connection.cursor() as cursor:
        _bound(cursor)
        cursor.execute(
            # A row a process; claim_worker.
            "DELETE FROM orchestrator_worker AS worker WHERE heartbeat_at < now() - %s * interval '1 second'"
            " AND NOT EXISTS (SELECT FROM orchestrator_claim WHERE worker_id = worker.id)",
            (20 * settings.WAYBILL_LEASE,),
        )


def _bound(cursor: CursorWrapper) -> None:
    """A chore that can't be quick is left for the next sweep: it must never delay a heartbeat past its lease."""
    cursor.execute("SELECT set_config('statement_timeout', %s, true)", (_CHORE_TIMEOUT,))
