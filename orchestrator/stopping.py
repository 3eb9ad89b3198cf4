"""Stop a request: halt, cancel, expire.

In: a request and a reason. Out: its Queued messages Cancelled, and the mark by which the workers skip those they hold.
Called by the Gateway's cancel, the desk's, outcomes (haltOnError, for recovery as well) and housekeeping (deadlines).

`stopped_at` and the cancelling stand in one transaction under the request's row lock. Whoever puts a message back into
Queued (a retry, a give-back) takes that lock first and looks: so no message becomes Queued behind a stop.
"""

import functools
import uuid
from collections.abc import Iterable

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from orchestrator import database_errors, failpoints, finishing
from orchestrator.failpoints import Place
from orchestrator.finishing import Effects, Finished
from orchestrator.lifecycle import EXTERNAL_DOOR, WORDS, Status, StopReason


class UnknownRequest(Exception):
    """No request of that id exists for this client."""


class AlreadyFinished(Exception):
    """The request has no open message that could be cancelled."""


_STOP = """
UPDATE orchestrator_request SET stopped_at = statement_timestamp(), stop_reason = %(reason)s
WHERE id = ANY (%(ids)s) AND stopped_at IS NULL
"""

# message_in_request finds them. Claimed messages are left: their worker skips those that have not begun.
_CANCEL_QUEUED = f"""
UPDATE orchestrator_message AS message SET status = %(cancelled)s, processed_at = statement_timestamp(),
    available_at = NULL, turn = request.total - request.open
FROM orchestrator_request AS request
WHERE request.id = ANY (%(ids)s) AND message.request_id = request.id AND message.status = %(queued)s
RETURNING {finishing.COLUMNS}
"""  # noqa: S608 - the pieces are ours

# The client gets back the turns that it didn't use: its next message stands behind its largest turn still queued, not
# behind those just cancelled. message_claimable is read backwards from the client's last turn to its largest.
_PULL_BACK = """
UPDATE orchestrator_clientlane AS mine SET last_turn = greatest(lane.clock, (
    SELECT turn FROM orchestrator_message
    WHERE lane = mine.lane AND NOT suspect AND status = %(queued)s AND available_at IS NULL
      AND client_id = mine.client_id AND turn BETWEEN lane.clock AND mine.last_turn
    ORDER BY turn DESC LIMIT 1
))
FROM (
    SELECT client_id, lane FROM orchestrator_clientlane
    WHERE (client_id, lane) IN (SELECT * FROM unnest(%(clients)s::bigint[], %(lanes)s::text[]))
    ORDER BY lane, client_id FOR NO KEY UPDATE
) AS touched, orchestrator_lane AS lane
WHERE mine.client_id = touched.client_id AND mine.lane = touched.lane AND lane.name = mine.lane
  AND mine.last_turn > lane.clock
"""


def cancel(*, client_id: int, request_id: uuid.UUID) -> None:
    """Cancel what has not begun of a client's request.

    Raises UnknownRequest (also for another client's), AlreadyFinished when nothing is open or it is a service.
    """
    finishing.spare_the_others(functools.partial(_cancel, client_id, request_id))
    failpoints.pass_by(Place.CANCELLED)


@database_errors.repeat_deadlocked
def _cancel(client_id: int, request_id: uuid.UUID, effects: Effects) -> None:
    """One unit of work. Locks in the house's order: request → messages → client lanes → effects."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            # By primary key.
            "SELECT door, open FROM orchestrator_request WHERE id = %s AND client_id = %s FOR NO KEY UPDATE",
            (request_id, client_id),
        )
        found = cursor.fetchone()
        if found is None:
            raise UnknownRequest
        door, still_open = found
        if door == EXTERNAL_DOOR or not still_open:
            raise AlreadyFinished
        cancelled = stop_locked(cursor, [request_id], reason=StopReason.CANCELLED)
        finishing.settle(cursor, cancelled, effects=effects)
        failpoints.pass_by(Place.CANCELLING)


def expire_overdue(*, limit: int = 100) -> int:
    """Stop requests whose deadline has passed; return how many. Another process's are skipped, not waited for."""
    return finishing.spare_the_others(functools.partial(_expire_overdue, limit))


@database_errors.repeat_deadlocked
def _expire_overdue(limit: int, effects: Effects) -> int:
    """One unit of work. Locks as a cancel does."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', '5s', true)")  # a chore, as those of recovery
        cursor.execute(
            # request_deadline; the lock order within doors and outcomes is by id, and here nobody is waited for.
            "SELECT id FROM orchestrator_request WHERE deadline_at <= now() AND stopped_at IS NULL AND open > 0"
            " ORDER BY deadline_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED",
            (limit,),
        )
        overdue = [request_id for (request_id,) in cursor.fetchall()]
        cancelled = stop_locked(cursor, overdue, reason=StopReason.EXPIRED)
        finishing.settle(cursor, cancelled, effects=effects)
    return len(overdue)


def stop_locked(cursor: CursorWrapper, request_ids: list[uuid.UUID], *, reason: StopReason) -> list[Finished]:
    """Stop requests whose rows this transaction has locked; return the messages cancelled, to be settled."""
    if not request_ids:
        return []
    cursor.execute(_STOP, {"ids": request_ids, "reason": reason.value})
    cursor.execute(_CANCEL_QUEUED, {"ids": request_ids, **WORDS})
    cancelled = [Finished(*columns, status=Status.CANCELLED) for columns in cursor.fetchall()]
    _pull_back_turns(cursor, {(message.client_id, message.lane) for message in cancelled})
    return cancelled


def _pull_back_turns(cursor: CursorWrapper, touched: Iterable[tuple[int, str]]) -> None:
    if pairs := sorted(touched):
        clients, lanes = zip(*pairs, strict=True)
        cursor.execute(_PULL_BACK, {"clients": list(clients), "lanes": list(lanes), **WORDS})
