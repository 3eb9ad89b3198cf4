"""The tracking search, piece by piece.

In: a client and its search. Out: pieces of the answer, each read by one short statement. Called by `search_view.py`.

Between two pieces nothing is held: no connection, no transaction, no snapshot. So a slow reader costs nobody anything,
and the answer needs the memory of one piece, however long it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tracking.gateway import queries
from tracking.gateway.criteria import Search
from tracking.gateway.queries import Found
from tracking.gateway.sources import Part

ROWS = 2000
"""Messages read at once: about half a megabyte of answer."""
REQUESTS = 1000


@dataclass(frozen=True, slots=True)
class Piece:
    """Requests with their messages, in the search's order. `last`: the answer ends with it.

    `goes_on`: the messages are more of the request that the piece before ended with.
    """

    found: list[Found]
    last: bool
    goes_on: bool = False


def run(search: Search, *, client_id: int) -> Iterator[Piece]:
    """Yield the answer's pieces, at least one."""
    left = search.page.size if search.page else None
    skip = (search.page.number - 1) * search.page.size if search.page else 0
    part = Part(rows=ROWS, take=_take(left), skip=skip)
    while True:
        found = queries.find_requests(client_id=client_id, criteria=search.criteria, sorts=search.sorts, part=part)
        left = None if left is None else left - len(found)
        cut = _rows(found) >= ROWS
        over = left == 0 or (not cut and len(found) < part.take)
        yield Piece(found, last=over and not cut)
        if cut:
            yield from _rest(search, found[-1], client_id=client_id, over=left == 0)
        if over:
            return
        part = Part(rows=ROWS, take=_take(left), after=found[-1].position, bound=part.bound or found[0].read_at)


def _rest(search: Search, found: Found, *, client_id: int, over: bool) -> Iterator[Piece]:
    """Yield what the limit of rows may have cut off the last request's messages."""
    last = False
    while not last and found.messages:
        messages = queries.find_rest(client_id=client_id, found=found, criteria=search.criteria, rows=ROWS)
        last = len(messages) < ROWS
        found = replace(found, messages=messages)
        yield Piece([found], last=last and over, goes_on=True)


def _rows(found: list[Found]) -> int:
    return sum(max(1, len(one.messages)) for one in found)


def _take(left: int | None) -> int:
    return REQUESTS if left is None else min(REQUESTS, left)
