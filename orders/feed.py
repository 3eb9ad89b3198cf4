"""A client's order events, read in their order.

In: a client, and the event that it has read last. Out: the events after it, as JSON, page by page.
Called by the order events window.

The upper bound is fixed at the start, and each page is one short statement: between two of them nothing is held, no
connection, no transaction, no snapshot. An event at or below the bound is committed, because positions become visible
in their order (see `effects.py`). So an answer always begins with the whole of an earlier one.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection

PAGE = 1000
"""Events read at once: about a quarter of a megabyte of answer."""


class UnknownEvent(Exception):
    """You have no event of this id."""


@dataclass(frozen=True, slots=True)
class Span:
    """Events of a client to be read: those after position `after`, up to position `upto`."""

    client_id: int
    after: int
    upto: int


def find_span(*, client_id: int, since: uuid.UUID | None) -> Span:
    """Return all the client's events there are now, or those after event `since`. Raises UnknownEvent."""
    with connection.cursor() as cursor:
        parameters: dict[str, Any] = {"client": client_id, "since": since}
        cursor.execute(_SPAN, parameters)
        upto, after = cursor.fetchone()
    if since is not None and after is None:
        raise UnknownEvent(UnknownEvent.__doc__)
    return Span(client_id=client_id, after=after or 0, upto=upto or 0)


def read(span: Span, *, order_path: str) -> Iterator[str]:
    """Yield the events, a page each, as JSON objects with commas between them. `order_path`: where orders are read."""
    for after in range(span.after, span.upto, PAGE):
        yield _read_page(Span(span.client_id, after, min(after + PAGE, span.upto)), order_path=order_path)


def _read_page(span: Span, *, order_path: str) -> str:
    parameters: dict[str, Any] = {
        "client": span.client_id,
        "after": span.after,
        "upto": span.upto,
        "path": order_path,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PAGE, parameters)
        return str(cursor.fetchone()[0])


# The feed by its key, the event by its own. One statement: both are of one snapshot.
_SPAN = """
SELECT
    (SELECT last_position FROM orders_feed WHERE client_id = %(client)s),
    (SELECT position FROM orders_orderevent WHERE id = %(since)s::uuid AND client_id = %(client)s)
"""

# By orderevent_position_once. The JSON is made where the rows are: a third of the cost of making it here. Ids and words
# of ours need no escaping.
_PAGE = """
SELECT string_agg(
    '{"event":"' || id || '","order":{"path":"' || %(path)s || order_id
        || '","accessId":"' || access_id || '","service":' || to_json(service)
        || ',"operation":"' || operation || '","state":"' || state || '","message":' || to_json(message) || '}}',
    ',' ORDER BY position
)
FROM orders_orderevent
WHERE client_id = %(client)s AND position > %(after)s AND position <= %(upto)s
"""
