"""The locks of a flush and of a give-back: claims, then requests by id.

In: ids. Out: what is known of the rows, which nobody changes until this transaction has ended.
Called by outcomes and recovery, within their transactions.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.backends.utils import CursorWrapper

from orchestrator.lifecycle import ErrorPolicy


@dataclass(frozen=True, slots=True)
class LockedRequests:
    """What is known of requests whose rows this transaction has locked: those stopped, those that a failure halts.

    `final`: how many of a request's messages are final already. See `Message.turn`.
    """

    stopped: frozenset[uuid.UUID]
    halting: frozenset[uuid.UUID]
    final: Mapping[uuid.UUID, int]


# One statement, but the locks come in the house's order: the requests' rows are joined to what the claims' locking
# brought, and locked when that is done. Either comes back as it is then, not as it was when the statement began.
_LOCK = """
WITH held AS MATERIALIZED (
    SELECT id FROM orchestrator_claim WHERE id = ANY (%(claims)s) ORDER BY id FOR NO KEY UPDATE
),
fence AS MATERIALIZED (SELECT array_agg(id) AS claims FROM held),
locked AS MATERIALIZED (
    SELECT request.id, stopped_at IS NOT NULL, error_policy, total - open
    FROM fence CROSS JOIN orchestrator_request AS request
    WHERE request.id = ANY (%(requests)s)
    ORDER BY request.id FOR NO KEY UPDATE OF request
)
SELECT fence.claims, locked.* FROM fence LEFT JOIN locked ON true
"""


def lock(
    cursor: CursorWrapper, *, claim_ids: Iterable[int], request_ids: Iterable[uuid.UUID]
) -> tuple[set[int], LockedRequests]:
    """Lock claims, then requests; return the claims that are still held, and what is known of the requests.

    The fence: a claim that recovery has given back exists no more, whatever the clock says.
    """
    cursor.execute(_LOCK, {"claims": sorted(claim_ids), "requests": list(request_ids)})
    rows = cursor.fetchall()
    return set(rows[0][0] or ()), _locked([columns for _, *columns in rows if columns[0] is not None])


def lock_requests(cursor: CursorWrapper, request_ids: set[uuid.UUID]) -> LockedRequests:
    """Lock requests in id order, and tell which of them are stopped and which a failure would halt."""
    cursor.execute(
        # By primary key.
        "SELECT id, stopped_at IS NOT NULL, error_policy, total - open FROM orchestrator_request"
        " WHERE id = ANY (%s) ORDER BY id FOR NO KEY UPDATE",
        (list(request_ids),),
    )
    return _locked(cursor.fetchall())


def _locked(rows: Iterable[Sequence[Any]]) -> LockedRequests:
    rows = list(rows)
    return LockedRequests(
        stopped=frozenset(request_id for request_id, stopped, _, _ in rows if stopped),
        halting=frozenset(
            request_id for request_id, stopped, policy, _ in rows if not stopped and policy == ErrorPolicy.HALT.value
        ),
        final={request_id: final for request_id, _, _, final in rows},
    )
