"""The queue's SQL: claim, renew, release.

In: a lane, a worker process. Out: messages leased to it. Called by the drain's claims, the heartbeat, the look for
stops, and a worker that leaves.
"""

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection

from orchestrator.lifecycle import WORDS, ErrorPolicy

# The index message_claimable answers `picked` in order; SKIP LOCKED lets workers pass each other. `turn >= floor`
# skips the dead entries of what was claimed before: without it a claim beside 300,000 of them takes 90 ms. The clock
# rises to the highest turn taken, and never falls: a worker that took lower turns finds it higher and leaves it.
# The gate: a lane that is paused, or whose back end is down or asked us to wait, gives nothing; a probe passes.
# A lost claim is only claimed again, so the commit doesn't wait for the disk. Its id is random: after a crash of the
# server a sequence would give out the ids of lost claims once more, and the fence would take one worker for another.
_CLAIM = """
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
gate AS MATERIALIZED (
    SELECT FROM orchestrator_lane, quick
    WHERE name = %(lane)s AND NOT paused AND (%(probing)s OR NOT EXISTS (
        SELECT FROM orchestrator_breaker WHERE lane = %(lane)s AND (opened_at IS NOT NULL OR held_until > now())
    ))
),
picked AS MATERIALIZED (
    SELECT id, turn FROM orchestrator_message
    WHERE lane = %(lane)s AND suspect = %(alone)s AND turn >= %(floor)s
      AND status = %(queued)s AND available_at IS NULL AND EXISTS (SELECT FROM gate)
    ORDER BY turn LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED
),
leased AS (
    INSERT INTO orchestrator_claim (id, worker_id, lane, alone, leased_until)
    SELECT floor(random() * 2 ^ 53)::bigint, %(worker_id)s, %(lane)s, %(alone)s,
        now() + %(lease)s * interval '1 second'
    WHERE EXISTS (SELECT FROM picked)
    RETURNING id
),
taken AS (
    UPDATE orchestrator_message SET status = %(processing)s, claim_id = leased.id,
        first_started_at = coalesce(first_started_at, now())
    FROM leased WHERE orchestrator_message.id = ANY (ARRAY(SELECT id FROM picked))
    RETURNING orchestrator_message.*
),
ticked AS (
    UPDATE orchestrator_lane SET clock = (SELECT max(turn) FROM picked)
    WHERE name = %(lane)s AND clock < (SELECT max(turn) FROM picked)
)
SELECT EXISTS (SELECT FROM gate) AND EXISTS (
        SELECT FROM orchestrator_message
        WHERE lane = %(lane)s AND suspect AND status = %(queued)s AND available_at IS NULL
    ),
    taken.claim_id, taken.id, taken.request_id, taken.client_id, taken.type, taken.external_reference, taken.payload,
    taken.turn, taken.attempts, taken.losses, orchestrator_request.traceparent,
    coalesce(orchestrator_request.stopped_at, orchestrator_request.deadline_at) <= now(),
    orchestrator_request.error_policy = %(halting)s
FROM (SELECT) AS once
LEFT JOIN taken ON true
LEFT JOIN orchestrator_request ON orchestrator_request.id = taken.request_id
ORDER BY taken.turn, taken.id
"""

# Only what the process knows that it holds: a claim whose answer was lost on the way has nobody to work on it, and must
# run out. Locked in id order, as outcomes lock claims.
_RENEW = """
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
held AS MATERIALIZED (
    SELECT claim.id FROM orchestrator_claim AS claim, quick
    WHERE claim.id = ANY (%(held)s) ORDER BY claim.id FOR NO KEY UPDATE OF claim
),
renewed AS (
    UPDATE orchestrator_claim SET leased_until = now() + %(lease)s * interval '1 second', suspected_at = NULL
    WHERE id = ANY (ARRAY(SELECT id FROM held))
    RETURNING id
),
alive AS (
    INSERT INTO orchestrator_worker (id, host, pid, queues, resting)
    SELECT %(worker_id)s, %(host)s, %(pid)s, %(queues)s::jsonb, %(resting)s FROM quick
    ON CONFLICT (id) DO UPDATE SET heartbeat_at = now(), resting = EXCLUDED.resting
    RETURNING draining
)
SELECT alive.draining, ARRAY(SELECT id FROM renewed) FROM alive
"""


class Claimed(NamedTuple):
    """One claimed message, as processing needs it; a tuple, for one is made of each row.

    `stopped`: its request was stopped or overdue when claimed. `halting`: a failure stops its request.
    """

    claim_id: int
    id: uuid.UUID
    request_id: uuid.UUID
    client_id: int
    type: str
    external_reference: str | None
    payload: str
    turn: int
    attempts: int
    losses: int
    traceparent: str | None
    stopped: bool | None
    halting: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """What one claim brought: messages in turn order, and whether suspects wait in the lane."""

    messages: list[Claimed]
    suspects_wait: bool

    @property
    def claim_id(self) -> int | None:
        """The claim that holds the messages; None when there was nothing to claim."""
        return self.messages[0].claim_id if self.messages else None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this worker process is, as its row says."""

    id: uuid.UUID
    host: str
    pid: int
    queues: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a heartbeat learnt: the claims that this worker still holds, and whether it was told to drain."""

    claims: frozenset[int]
    draining: bool


def claim(
    *, worker_id: uuid.UUID, lane: str, limit: int, floor: int = 0, alone: bool = False, probing: bool = False
) -> Batch:
    """Lease up to `limit` of a lane's next messages to a worker; with `alone`, of its suspects.

    `probing`: past a breaker that is open; the worker holds the right to (`breakers.take_probe`).
    """
    asked = {
        "worker_id": worker_id,
        "lane": lane,
        "limit": limit,
        "floor": floor,
        "alone": alone,
        "probing": probing,
        "lease": settings.WAYBILL_LEASE,
        "halting": ErrorPolicy.HALT.value,
        **WORDS,
    }
    rows = _fetch(_CLAIM, asked)
    return Batch(
        messages=[Claimed._make(columns) for _, *columns in rows if columns[0] is not None],
        suspects_wait=rows[0][0],
    )


def renew(identity: Identity, *, held: Collection[int], resting: bool = False) -> Renewal:
    """Renew the leases of the claims that a worker holds, on the database's clock, and its own sign of life.

    `resting`: it claims no more, as it was told.
    """
    asked = {
        "held": sorted(held),
        "worker_id": identity.id,
        "host": identity.host,
        "pid": identity.pid,
        "queues": json.dumps(identity.queues),
        "resting": resting,
        "lease": settings.WAYBILL_LEASE,
    }
    [(draining, claims)] = _fetch(_RENEW, asked)
    return Renewal(claims=frozenset(claims), draining=draining)


def find_held(claim_ids: Collection[int]) -> list[tuple[uuid.UUID, uuid.UUID, int]]:
    """Return what claims hold that is not recorded: each message's id, its request's and its claim's."""
    return _fetch(
        "SELECT id, request_id, claim_id FROM orchestrator_message"  # message_claimed
        " WHERE claim_id = ANY (%(claims)s) AND status = %(processing)s",
        {"claims": list(claim_ids), **WORDS},
    )


def leave(worker_id: uuid.UUID) -> None:
    """Take a worker that stopped in good order off the list."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM orchestrator_worker WHERE id = %(worker_id)s", {"worker_id": worker_id})


def holds_claimable(lane: str) -> bool:
    """Tell whether a lane has messages that could be claimed now, were it for the lane alone."""
    [(found,)] = _fetch(
        # message_claimable: one probe.
        "SELECT EXISTS (SELECT FROM orchestrator_message WHERE lane = %(lane)s AND NOT suspect"
        " AND status = %(queued)s AND available_at IS NULL)",
        {"lane": lane, **WORDS},
    )
    return bool(found)


def find_stopped(request_ids: list[uuid.UUID]) -> frozenset[uuid.UUID]:
    """Return those of the requests that were stopped, are overdue or are gone."""
    rows = _fetch(
        # By primary key: as many probes as there are requests held.
        "SELECT id FROM orchestrator_request WHERE id = ANY (%(ids)s)"
        " AND (stopped_at IS NULL AND (deadline_at IS NULL OR deadline_at > now()))",
        {"ids": request_ids},
    )
    return frozenset(request_ids) - {request_id for (request_id,) in rows}


def _fetch(statement: str, asked: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        return list(cursor.fetchall())
