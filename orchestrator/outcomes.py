"""Record results: one transaction a flush.

In: what handlers ended with. Out: final statuses, retries, counters, stops and effects, all or nothing.
Called by the recorder of a worker process.

Everything follows the rows that the UPDATE *returned* (`claim = mine AND status = Processing`), never the list handed
in. So a flush is fenced: a worker whose claim was given away writes nothing; and it is safe to repeat when a COMMIT's
answer was lost.
"""

import functools
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg.types.datetime import TimestamptzLoader
from psycopg.types.json import Jsonb

from orchestrator import database_errors, failpoints, finishing, locking, measures, payloads, stopping
from orchestrator.failpoints import Place
from orchestrator.finishing import Effects, Finished
from orchestrator.lifecycle import FINAL, WORDS, FailureKind, Status, StopReason
from orchestrator.measures import Event

log = structlog.get_logger(__name__)

INTERNAL_TEXT = "The message could not be processed"
"""What a client sees of an internal failure; the log has all of it."""
TIMEOUT_TEXT = "The message was not processed in time"


class Ending(Enum):
    """How a handler's work on a message ended."""

    COMPLETE = "complete"
    REJECTED = "rejected"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    RETRY = "retry"
    SKIPPED = "skipped"  # its request was stopped before it began
    RETURNED = "returned"  # never begun here: given back untouched
    INTERRUPTED = "interrupted"  # begun, and given back: by a graceful stop, or as a probe of a back end that is down


_BEGUN = frozenset({Ending.COMPLETE, Ending.REJECTED, Ending.FAILED, Ending.TIMED_OUT, Ending.RETRY})
FAILURES = frozenset({Ending.REJECTED, Ending.FAILED, Ending.TIMED_OUT})
"""The endings that stop a request under haltOnError."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one claimed message. `result` is JSON text; `delay` seconds until it is claimable again."""

    message_id: uuid.UUID
    request_id: uuid.UUID
    claim_id: int
    ending: Ending
    result: str | None = None
    error: str | None = None
    delay: float | None = None


def flush(outcomes: Sequence[Outcome], *, finished_claims: Iterable[int] = ()) -> None:
    """Record outcomes, and end the claims that hold nothing more.

    Raises the database's error when the ledger can't be reached (`database_errors.is_passing`): nothing is lost then,
    and the same call may be repeated. Any other error is somebody's fault: the flush is halved until the culprit
    stands alone, and that one is recorded as Failed, internal; where its effect raises on that too, without effect.
    """
    claims = list(finished_claims)
    try:
        _record(outcomes, finished_claims=claims)
    except Exception as error:
        if database_errors.is_passing(error):
            raise
        refused = error
    else:
        return
    if len(outcomes) > 1:
        _flush_halves(outcomes, finished_claims=claims)
    else:
        _fail_alone(outcomes[0], finished_claims=claims, refused=refused)


def _fail_alone(culprit: Outcome, *, finished_claims: list[int], refused: Exception) -> None:
    """Record what can't be recorded as it ended: as a failure of ours, and if need be without its effect."""
    log.error("outcome can't be recorded", message_id=str(culprit.message_id), exc_info=refused)
    failed = replace(culprit, ending=Ending.FAILED, result=None, error=None, delay=None)
    _record([failed], finished_claims=finished_claims, effects=Effects.APART)


def _flush_halves(outcomes: Sequence[Outcome], *, finished_claims: list[int]) -> None:
    """Record each half by itself: what the ledger refuses in one is no reason to keep the other back.

    The claims end with the last of both: one whose message is refused still holds it.
    """
    middle = len(outcomes) // 2
    refused: Exception | None = None
    for half in (outcomes[:middle], outcomes[middle:]):
        try:
            flush(half)
        except Exception as error:
            if database_errors.is_passing(error):
                raise
            refused = error
    if refused is not None:
        raise refused
    _record([], finished_claims=finished_claims)


@database_errors.repeat_deadlocked
def _record(outcomes: Sequence[Outcome], *, finished_claims: list[int], effects: Effects = Effects.TOGETHER) -> None:
    """One unit of work. Locks in the house's order: claims → requests (by id) → messages → client lanes → effects."""
    with transaction.atomic(), connection.cursor() as cursor:
        held, requests = locking.lock(
            cursor,
            claim_ids={outcome.claim_id for outcome in outcomes},
            request_ids={outcome.request_id for outcome in outcomes},
        )
        fenced = [outcome for outcome in outcomes if outcome.claim_id in held]
        finished = _write_messages(cursor, fenced, requests=requests)
        failpoints.pass_by(Place.MID_FLUSH)
        finished += halt_failed(cursor, finished, halting=requests.halting)
        finishing.settle(cursor, finished, effects=effects)
        _end_claims(cursor, finished_claims)
        failpoints.pass_by(Place.FLUSHING)
    failpoints.pass_by(Place.FLUSHED)


def halt_failed(
    cursor: CursorWrapper, finished: Sequence[Finished], *, halting: frozenset[uuid.UUID]
) -> list[Finished]:
    """Stop the requests under haltOnError of which a message has just failed; return what that cancelled."""
    failed = {message.request_id for message in finished if message.status is Status.FAILED}
    return stopping.stop_locked(cursor, sorted(failed & halting), reason=StopReason.HALTED)


# By primary key; the fence is the second line of WHERE. No update of a message is HOT, so each gets exactly one.
_WRITE = f"""
UPDATE orchestrator_message AS message SET
    status = written.status,
    failure_kind = written.failure_kind,
    result = written.result,
    errors = written.errors,
    attempts = message.attempts + written.attempts,
    losses = message.losses + written.losses,
    available_at = now() + written.delay * interval '1 second',
    claim_id = NULL,
    turn = coalesce(written.turn, message.turn),
    processed_at = CASE WHEN written.status <> %(queued)s THEN statement_timestamp() END
FROM unnest(%(ids)s::uuid[], %(claims)s::bigint[], %(statuses)s::text[], %(kinds)s::text[],
            string_to_array(%(results)s, %(between)s, ''),
            %(errors)s::jsonb[], %(attempts)s::smallint[], %(losses)s::smallint[], %(delays)s::float8[],
            %(turns)s::bigint[])
    AS written (id, claim_id, status, failure_kind, result, errors, attempts, losses, delay, turn)
WHERE message.id = written.id
  AND message.claim_id = written.claim_id AND message.status = %(processing)s
RETURNING {finishing.COLUMNS}
"""  # noqa: S608 - the pieces are ours


@dataclass(frozen=True, slots=True)
class _Row:
    """What one outcome writes into its message."""

    status: Status
    kind: FailureKind | None = None
    errors: tuple[str, ...] = ()


_COMPLETE = _Row(Status.COMPLETE)  # one for all of them: most messages are


def _row(outcome: Outcome, *, stopped: bool) -> _Row:
    """Decide what an outcome writes. A message that would be Queued again behind a stop is Cancelled instead."""
    match outcome.ending:
        case Ending.COMPLETE:
            return _COMPLETE
        case Ending.REJECTED:
            return _Row(Status.FAILED, FailureKind.REJECTED, (outcome.error or INTERNAL_TEXT,))
        case Ending.FAILED:
            return _Row(Status.FAILED, FailureKind.INTERNAL, (INTERNAL_TEXT,))
        case Ending.TIMED_OUT:
            return _Row(Status.FAILED, FailureKind.TIMEOUT, (TIMEOUT_TEXT,))
        case Ending.SKIPPED:
            return _Row(Status.CANCELLED)
        case Ending.RETRY | Ending.RETURNED | Ending.INTERRUPTED:
            return _Row(Status.CANCELLED if stopped else Status.QUEUED)


def _write_messages(
    cursor: CursorWrapper, outcomes: Sequence[Outcome], *, requests: locking.LockedRequests
) -> list[Finished]:
    """Write the outcomes that are still ours to write, and return those that became final."""
    if not outcomes:
        return []
    rows = [_row(outcome, stopped=outcome.request_id in requests.stopped) for outcome in outcomes]
    # psycopg's own loader is C; Django's is Python, and would be half of a flush's work in this process.
    cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
    cursor.execute(_WRITE, _columns(outcomes, rows, final=requests.final))
    written = {outcome.message_id: (outcome, row) for outcome, row in zip(outcomes, rows, strict=True)}
    finished, put_back = [], []
    for columns in cursor.fetchall():
        outcome, row = written[columns[0]]
        if row.status in FINAL:
            finished.append(
                Finished(*columns, status=row.status, failure_kind=row.kind, result=outcome.result, errors=row.errors)
            )
        else:
            _, _, _, message_type, lane, *_ = columns
            put_back.append((outcome.ending, message_type, lane))
    if put_back:
        transaction.on_commit(functools.partial(_measure, put_back))
    return finished


def _measure(put_back: Sequence[tuple[Ending, str, str]]) -> None:
    for (ending, message_type, lane), n in Counter(put_back).items():
        event = Event.RETRIED if ending is Ending.RETRY else Event.RETURNED
        measures.count(event, n, of_type=message_type, lane=lane)


def _columns(outcomes: Sequence[Outcome], rows: Sequence[_Row], *, final: Mapping[uuid.UUID, int]) -> dict[str, Any]:
    return {
        "ids": [outcome.message_id for outcome in outcomes],
        "claims": [outcome.claim_id for outcome in outcomes],
        "statuses": [row.status.value for row in rows],
        "kinds": [row.kind.value if row.kind else None for row in rows],
        "results": _joined([_kept(outcome) for outcome in outcomes]),
        "between": _BETWEEN,
        "errors": [Jsonb(row.errors) if row.errors else None for row in rows],
        "attempts": [int(outcome.ending in _BEGUN) for outcome in outcomes],
        # Begun and broken off: it may have reached the back end, which a message without attempts or losses never did.
        "losses": [int(outcome.ending is Ending.INTERRUPTED) for outcome in outcomes],
        "delays": [
            outcome.delay if row.status is Status.QUEUED else None for outcome, row in zip(outcomes, rows, strict=True)
        ],
        "turns": [
            final[outcome.request_id] if row.status in FINAL else None
            for outcome, row in zip(outcomes, rows, strict=True)
        ],
        **WORDS,
    }


_BETWEEN = "\x1f"
"""Stands between two results: a control character, which JSON text has in no place."""


def _joined(results: Sequence[str]) -> str:
    """Put results into one text: the driver quotes an array of texts in Python, by the element.

    Raises ValueError for what is no JSON and would come apart in the wrong place.
    """
    joined = _BETWEEN.join(results)
    if joined.count(_BETWEEN) >= max(len(results), 1):
        raise ValueError("a result holds a control character, so it is not JSON")
    return joined


def _kept(outcome: Outcome) -> str:
    """Return the result as the ledger keeps it; nothing where there is none."""
    if outcome.result is None:
        return ""
    return payloads.seal(outcome.result, message_id=outcome.message_id, part=payloads.Part.RESULT)


def _end_claims(cursor: CursorWrapper, claim_ids: list[int]) -> None:
    if claim_ids:
        cursor.execute("DELETE FROM orchestrator_claim WHERE id = ANY (%s)", (claim_ids,))
