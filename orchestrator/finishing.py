"""Messages that have just become final: their request's counters, and the effects that apps hang on them.

In: the rows that an UPDATE of messages *returned*, never the list handed in. Out: counters that add up,
`completed_at` when nothing is open any more, and whatever the effects write, all in the caller's transaction.
Called by outcomes, stopping, recovery and flows: the one place where messages leave `open`.
"""

import functools
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.backends.utils import CursorWrapper

from orchestrator import measures
from orchestrator.lifecycle import FailureKind, Status


@dataclass(frozen=True, slots=True)
class Finished:
    """A message that has just reached its final status. `result` is JSON text.

    `seconds`: from its receipt, of an external task from its start. `lane`: empty for an external task.
    """

    message_id: uuid.UUID
    request_id: uuid.UUID
    client_id: int
    type: str
    status: Status
    processed_at: datetime
    seconds: float = 0.0
    lane: str = ""
    failure_kind: FailureKind | None = None
    result: str | None = None
    errors: tuple[str, ...] = ()


Effect = Callable[[CursorWrapper, Sequence[Finished]], None]

_effects: dict[str, Effect] = {}


def register_effect(message_type: str, effect: Effect) -> None:
    """Let an app act on the final messages of a type, in the transaction that records them.

    An effect gets all of a transaction's messages of its type at once, locks its rows sorted, and calls no network.
    """
    _effects[message_type] = effect


def settle(
    cursor: CursorWrapper, finished: Sequence[Finished], *, effects: bool = True, completes: bool = True
) -> None:
    """Count the messages in their requests, whose rows the caller has locked, and run the effects.

    `completes`: a request is over with its last open message; a service is not, its owner ends it.
    """
    if finished:
        _count(cursor, finished, completes=completes)
        transaction.on_commit(functools.partial(_measure, finished))
        if effects:
            _run_effects(cursor, finished)


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


def _run_effects(cursor: CursorWrapper, finished: Sequence[Finished]) -> None:
    for message_type, effect in _effects.items():
        if mine := [message for message in finished if message.type == message_type]:
            effect(cursor, mine)


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
