"""What the end of an order's message brings about: the order's final state, the service's holder, the client's event.

In: messages of type `Order` that have just become final, whatever way. Out: rows, in the outcome's own transaction.
Called by `orchestrator.finishing`, with all of a transaction's orders at once.

Locks: access services, sorted → orders → feeds, by client. A feed's row stays locked until COMMIT, so its positions
have no gaps and become visible in their order: who has read up to a position has missed nothing before it.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.backends.utils import CursorWrapper

from orchestrator import finishing, ids
from orchestrator.finishing import Finished
from orders import network, words
from orders.models import Operation, State


class _Ended(NamedTuple):
    """An order that this transaction has finished."""

    order_id: uuid.UUID
    client_id: int
    finished_at: datetime


def register() -> None:
    """Hang the effect on the type."""
    finishing.register_effect(network.TYPE, finish)


def finish(cursor: CursorWrapper, finished: Sequence[Finished]) -> None:
    """Finish the orders, set who holds their services, and tell their clients: a constant number of statements."""
    ids = [message.request_id for message in finished]
    cursor.execute(_LOCK_SERVICES, {"ids": ids})
    ended = _finish_orders(cursor, finished)
    if ended:
        cursor.execute(_SETTLE_SERVICES, {"ids": [order.order_id for order in ended], **_WORDS})
        _tell(cursor, ended)


def _finish_orders(cursor: CursorWrapper, finished: Sequence[Finished]) -> list[_Ended]:
    """Write the final states, and return the orders that got theirs now: each gets one, and one event, once."""
    cursor.execute(
        _FINISH,
        {
            "ids": [message.request_id for message in finished],
            "states": [words.state(message).value for message in finished],
            "messages": [words.message(message) for message in finished],
            "finished_at": [message.processed_at for message in finished],
            **_WORDS,
        },
    )
    return sorted(
        (_Ended._make(row) for row in cursor.fetchall()), key=lambda order: (order.finished_at, order.order_id)
    )


def _tell(cursor: CursorWrapper, ended: Sequence[_Ended]) -> None:
    """Append an event for each order, at the next positions of its client's feed."""
    next_position = _advance_feeds(cursor, Counter(order.client_id for order in ended))
    positions = []
    for order in ended:
        positions.append(next_position[order.client_id])
        next_position[order.client_id] += 1
    cursor.execute(
        _INSERT_EVENTS,
        {
            "ids": [ids.make() for _ in ended],
            "orders": [order.order_id for order in ended],
            "positions": positions,
        },
    )


def _advance_feeds(cursor: CursorWrapper, counts: Counter[int]) -> dict[int, int]:
    """Lock the clients' feeds, and return the first of the positions that each got."""
    clients = sorted(counts)
    cursor.execute(_ADVANCE, {"clients": clients, "counts": [counts[client] for client in clients]})
    return {client_id: last - counts[client_id] + 1 for client_id, last in cursor.fetchall()}


_WORDS = {"received": State.RECEIVED.value, "success": State.DONE_SUCCESS.value, "activate": Operation.ACTIVATE.value}

# Orders by primary key, their services by access_service_once. Who places an order locks an access's services in the
# same order.
_LOCK_SERVICES = """
SELECT FROM orders_accessservice AS service
JOIN orders_order AS placed ON placed.access_id = service.access_id AND placed.service = service.service
WHERE placed.id = ANY (%(ids)s)
ORDER BY service.id FOR NO KEY UPDATE OF service
"""

# By primary key. Only an open order is finished: this is what makes the event come exactly once.
_FINISH = """
UPDATE orders_order AS placed SET state = ended.state, message = ended.message, finished_at = ended.finished_at
FROM unnest(%(ids)s::uuid[], %(states)s::text[], %(messages)s::text[], %(finished_at)s::timestamptz[])
    AS ended (id, state, message, finished_at)
WHERE placed.id = ended.id AND placed.state = %(received)s
RETURNING placed.id, placed.client_id, placed.finished_at
"""

_SETTLE_SERVICES = """
UPDATE orders_accessservice AS service
SET holder_id = CASE WHEN placed.operation = %(activate)s THEN placed.client_id END
FROM orders_order AS placed
WHERE placed.id = ANY (%(ids)s) AND placed.state = %(success)s
  AND service.access_id = placed.access_id AND service.service = placed.service
"""

# The rows are locked in the clients' order; a feed begins with its client's first event.
_ADVANCE = """
INSERT INTO orders_feed AS feed (client_id, last_position)
SELECT client_id, n FROM unnest(%(clients)s::bigint[], %(counts)s::bigint[]) AS told (client_id, n) ORDER BY client_id
ON CONFLICT (client_id) DO UPDATE SET last_position = feed.last_position + excluded.last_position
RETURNING client_id, last_position
"""

_INSERT_EVENTS = """
INSERT INTO orders_orderevent (
    id, client_id, position, order_id, access_id, service, operation, state, message, happened_at
)
SELECT told.id, placed.client_id, told.position, placed.id,
    placed.access_id, placed.service, placed.operation, placed.state, placed.message, placed.finished_at
FROM unnest(%(ids)s::uuid[], %(orders)s::uuid[], %(positions)s::bigint[]) AS told (id, order_id, position)
JOIN orders_order AS placed ON placed.id = told.order_id
"""
