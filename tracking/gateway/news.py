"""What has become final of requests since their followers last looked, for many followers by one statement.

In: requests, and how far each has been read. Out: each request as it is, and its next final messages in the order in
which they became final. Called by `stream.py`, in the watcher's threads.

The race: outcomes become visible in the order of their commits, which is not that of `processed_at`, nor of any number
drawn before the commit; a reader that remembers the latest one it has seen would miss one that is committed after it.
Each of these transactions holds the request's lock from before it writes until its commit, so they come one after the
other; and each writes into its messages' `turn` how many were final before it, which only grows from one to the next.
So (turn, number) is an order that the ledger only ever appends to, and a place in it is enough to go on from.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from orchestrator import following, payloads
from tracking.gateway import queries

_MOST_MESSAGES = 200
_MOST_BYTES = 256 * 1024


class Place(NamedTuple):
    """How far a request has been read: up to and with this message."""

    turn: int
    number: int


START = Place(-1, 0)


class Reading(NamedTuple):
    """A request, and the place after which it is to be read."""

    request_id: uuid.UUID
    after: Place


class Outcome(NamedTuple):
    """One final message. `result` is JSON text, None when it has none."""

    message: queries.MessageRow
    result: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class News:
    """A request as it is, its next final messages, and whether there are more of them."""

    head: queries.Head
    outcomes: Sequence[Outcome]
    goes_on: bool


def read(readings: Sequence[Reading]) -> list[News | None]:
    """Return the news of each request; None for one that is there no more."""
    values: dict[str, Any] = {
        "requests": [reading.request_id for reading in readings],
        "turns": [reading.after.turn for reading in readings],
        "numbers": [reading.after.number for reading in readings],
        "most": _MOST_MESSAGES,
        "most_bytes": _MOST_BYTES,
    }
    found: dict[int, News] = {}
    for position, rows in groupby(queries.run(_NEWS, values), key=itemgetter(0)):
        found[position] = _make_news([row[1:] for row in rows])
    return [found.get(position) for position in range(1, len(readings) + 1)]


def has_place(*, request_id: uuid.UUID, place: Place) -> bool:
    """Tell whether a message of the request became final at this place."""
    return bool(queries.run(_HAS_PLACE, {"request": request_id, "turn": place.turn, "number": place.number}))


def _make_news(rows: list[tuple[Any, ...]]) -> News:
    head = queries.make_head(rows[0])
    outcomes = [_make_outcome(row[queries.HEAD_WIDTH :]) for row in rows if row[-1] is not None]
    return News(head, outcomes, goes_on=bool(outcomes) and len(outcomes) < rows[0][-1])


def _make_outcome(row: tuple[Any, ...]) -> Outcome:
    *message, result, turn, _ = row
    taken = queries.MessageRow._make(message)
    shown = None if result is None else payloads.reveal(result, message_id=taken.id, part=payloads.Part.RESULT)
    return Outcome(taken, shown, Place(turn, taken.number))


# Each request by primary key, its messages by message_in_request: as many as it has are looked through, and so many of
# them fetched with their results that these are no longer than a page may be, one at least. `found` counts one more
# than fits on a page.
_NEWS = f"""
SELECT wanted.position, {queries.HEAD_COLUMNS}, page.*
FROM unnest(%(requests)s::uuid[], %(turns)s::bigint[], %(numbers)s::int[])
    WITH ORDINALITY AS wanted (request_id, turn, number, position)
JOIN orchestrator_request AS request ON request.id = wanted.request_id
CROSS JOIN LATERAL {following.BUSY} AS busy
LEFT JOIN LATERAL (
    SELECT {queries.MESSAGE_COLUMNS}, message.result, message.turn, message.found
    FROM (
        SELECT next.*, count(*) OVER () AS found, row_number() OVER in_order AS rank,
            sum(coalesce(octet_length(next.result), 0)) OVER in_order AS bytes
        FROM (
            SELECT * FROM orchestrator_message AS final
            WHERE final.request_id = wanted.request_id AND final.processed_at IS NOT NULL
              AND (final.turn, final.number) > (wanted.turn, wanted.number)
            ORDER BY final.turn, final.number LIMIT %(most)s + 1
        ) AS next
        WINDOW in_order AS (ORDER BY next.turn, next.number)
    ) AS message
    WHERE message.rank <= %(most)s AND (message.rank = 1 OR message.bytes <= %(most_bytes)s)
) AS page ON true
ORDER BY wanted.position, page.turn, page.number
"""  # noqa: S608 - constants of these rooms

# By message_in_request.
_HAS_PLACE = """
SELECT 1 FROM orchestrator_message
WHERE request_id = %(request)s AND number = %(number)s AND turn = %(turn)s AND processed_at IS NOT NULL
"""
