"""What the request status window reads: one page of messages, in one statement.

In: a client, an id, a page. Out: the page and the true count, or None for an id that does not exist for the client.
Called by the views of v2 and v3.
"""

import uuid
from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True)
class Item:
    """One message's status, in the ledger's words."""

    message_id: uuid.UUID
    status: str
    failure_kind: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of messages in message order; `total` counts all of them."""

    items: list[Item]
    total: int


# By primary key on both sides; the page by message_in_request. A single call's message shares its request's id, so it
# is found as the request. The second branch finds a message of a larger request by its own id.
_PAGE = """
SELECT request.total, page.id, page.status, page.failure_kind, page.number
FROM orchestrator_request AS request
LEFT JOIN LATERAL (
    SELECT id, status, failure_kind, number FROM orchestrator_message
    WHERE request_id = request.id
    ORDER BY number LIMIT %(size)s OFFSET %(offset)s
) AS page ON true
WHERE request.id = %(id)s AND request.client_id = %(client)s
UNION ALL
SELECT 1, id, status, failure_kind, number
FROM orchestrator_message
WHERE id = %(id)s AND client_id = %(client)s AND request_id <> id
ORDER BY number
"""


def find_page(*, client_id: int, wanted: uuid.UUID, page: int, size: int) -> Page | None:
    """Return a page (from 0) of a request's messages, or of the one message that `wanted` is; None if neither."""
    offset = page * size
    with connection.cursor() as cursor:
        cursor.execute(_PAGE, {"id": wanted, "client": client_id, "size": size, "offset": offset})
        rows = cursor.fetchall()
    if not rows:
        return None
    total = rows[0][0]
    if offset >= total:
        return Page(items=[], total=total)
    return Page(items=[Item(message_id, status, kind) for _, message_id, status, kind, _ in rows], total=total)
