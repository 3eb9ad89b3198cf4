"""Messages that have just become final: their request's counters, and the effects that apps hang on them.

In: the rows that an UPDATE of messages *returned*, never the list handed in. Out: counters that add up,
`completed_at` when nothing is open any more, and whatever the effects write, all in the caller's transaction.
Called by outcomes, stopping, recovery and flows: the one place where messages leave `open`.
"""

import contextlib
import functools
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from enum import Enum
from typing import TypeVar

import structlog
from django.db import transaction
from django.db.backends.utils import CursorWrapper

from orchestrator import database_errors, measures
from orchestrator.lifecycle import FailureKind, Status

log = structlog.get_logger(__name__)

_Result = TypeVar("_Result")


COLUMNS = """message.id, message.request_id, message.client_id, message.type, message.lane, message.processed_at,
    extract(epoch FROM message.processed_at - message.received_at)::float8"""
"""What the statements that end messages return of each: the fields that a `Finished` begins with, in their order."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A message that has just reached its final status. `result` is JSON text.

    `seconds`: from its receipt, of an external task from its start. `lane`: empty for an external task.
    """

    message_id: uuid.UUID
    request_id: uuid.UUID
    client_id: int
    type: str
    lane: str
    processed_at: datetime
    seconds: float
    _: KW_ONLY
    status: Status
    failure_kind: FailureKind | None = None
    result: str | None = None
    errors: tuple[str, ...] = ()


Effect = Callable[[CursorWrapper, Sequence[Finished]], None]

_effects: dict[str, Effect] = {}


class Effects(Enum):
    """How the effects of a transaction's messages are run."""

    TOGETHER = "together"  # all of a type at once; one that raises undoes the transaction
    APART = "apart"  # a message on which its effect raises is final without it, and costs the others nothing
    NONE = "none"


class EffectRaised(Exception):
    """An effect raised on messages that have just become final."""


def register_effect(message_type: str, effect: Effect) -> None:
    """Let an app act on the final messages of a type, in the transaction that records them.

    An effect gets all of a transaction's messages of its type at once, locks its rows sorted, and calls no network.
    """
    _effects[message_type] = effect


def spare_the_others(unit: Callable[[Effects], _Result]) -> _Result:
    """Do a unit of work that settles messages; where an effect raises, do it once more with the effects apart.

    Else one message on which its effect always raises would keep a whole batch open, sweep after sweep.
    """
    with contextlib.suppress(EffectRaised):
        return unit(Effects.TOGETHER)
    return unit(Effects.APART)


def settle(
    cursor: CursorWrapper,
    finished: Sequence[Finished],
    *,
    effects: Effects = Effects.TOGETHER,
    completes: bool = True,
) -> None:
    """Count the messages in their requests, whose rows the caller has locked, and run the effects.

    `completes`: a request is over with its last open message; a service is not, its owner ends it.
    Raises EffectRaised where the effects are run together, and the database's error where it is nobody's fault.
    """
    if finished:
        _count(cursor, finished, completes=completes)
        transaction.on_commit(functools.partial(_measure, finished))
        _run_effects(cursor, finished, effects)


# A request is over when this statement takes the last of its open messages. Their latest processed_at is then the whole
# request's: its row was locked before they were written, so nobody wrote a later one meanwhile.
_COUNT = """
UPDATE orchestrator_request AS request SET
    open = request.open - counted.n,
    complete = request.complete + counted.complete,
    failed = request.failed + counted.failed,
    cancelled = request.cancelled + counted.cancelled,
    completed_at = CASE WHEN %(completes)s AND request.open = counted.n THEN counted.processed_at END
FROM unnest(%(ids)s::uuid[], %(n)s::int[], %(complete)s::int[], %(failed)s::int[], %(cancelled)s::int[],
            %(processed_at)s::timestamptz[])
    AS counted (request_id, n, complete, failed, cancelled, processed_at)
WHERE request.id = counted.request_id
"""


def _count(cursor: CursorWrapper, finished: Sequence[Finished], *, completes: bool) -> None:
    tallies: dict[uuid.UUID, Counter[Status]] = {}
    latest: dict[uuid.UUID, datetime] = {}
    for message in finished:
        tallies.setdefault(message.request_id, Counter())[message.status] += 1
        latest[message.request_id] = max(message.processed_at, latest.get(message.request_id, message.processed_at))
    cursor.execute(
        _COUNT,
        {
            "ids": list(tallies),
            "n": [tally.total() for tally in tallies.values()],
            "complete": [tally[Status.COMPLETE] for tally in tallies.values()],
            "failed": [tally[Status.FAILED] for tally in tallies.values()],
            "cancelled": [tally[Status.CANCELLED] for tally in tallies.values()],
            "processed_at": list(latest.values()),
            "completes": completes,
        },
    )


# ------------------------------------------------------------ the effects


def _run_effects(cursor: CursorWrapper, finished: Sequence[Finished], how: Effects) -> None:
    if how is Effects.NONE:
        return
    run = _run_together if how is Effects.TOGETHER else _run_apart
    for message_type, effect in _effects.items():
        if mine := [message for message in finished if message.type == message_type]:
            run(cursor, effect, mine)


def _run_together(cursor: CursorWrapper, effect: Effect, finished: Sequence[Finished]) -> None:
    try:
        effect(cursor, finished)
    except Exception as error:
        if database_errors.is_passing(error) or database_errors.is_deadlock(error):
            raise  # the whole unit of work is repeated, now or later
        raise EffectRaised(EffectRaised.__doc__) from error


def _run_apart(cursor: CursorWrapper, effect: Effect, finished: Sequence[Finished]) -> None:
    """Run an effect on all; where it raises, on each half, until the culprit stands alone and goes without."""
    if _takes(cursor, effect, finished):
        return
    if len(finished) > 1:
        middle = len(finished) // 2
        _run_apart(cursor, effect, finished[:middle])
        _run_apart(cursor, effect, finished[middle:])


def _takes(cursor: CursorWrapper, effect: Effect, finished: Sequence[Finished]) -> bool:
    """Tell whether an effect was carried out; what it has written is undone when it raises."""
    try:
        with transaction.atomic():  # a savepoint
            _run_together(cursor, effect, finished)
    except EffectRaised:
        if len(finished) == 1:
            log.exception("effect left out: it raises", message_id=str(finished[0].message_id), type=finished[0].type)
        return False
    return True


# ------------------------------------------------------------ the figures


def _measure(finished: Sequence[Finished]) -> None:
    durations: defaultdict[tuple[str, str, Status], list[float]] = defaultdict(list)
    failures: Counter[tuple[str, str, FailureKind]] = Counter()
    for message in finished:
        named = message.type if message.lane else measures.EXTERNAL
        durations[named, message.lane, message.status].append(message.seconds)
        if message.failure_kind is not None:
            failures[message.type, message.lane, message.failure_kind] += 1
    for (message_type, lane, status), seconds in durations.items():
        measures.observe(measures.final(status), seconds, of_type=message_type, lane=lane)
    for (message_type, lane, kind), n in failures.items():
        measures.count(kind.value, n, of_type=message_type, lane=lane)
