"""What the request status window reads: one page of messages.

In: a client, an id, a page. Out: the page and the true count, or None for an id that does not exist for the client.
Called by the views of v2 and v3.
"""

import uuid
from dataclasses import dataclass
from typing import Any

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


# By primary key, and message_in_request: messages are numbered from 0 without gaps, so a late page costs what the first
# one does. A single call's message shares its request's id, and is found here too.
_PAGE = """
SELECT request.total, message.id, message.status, message.failure_kind
FROM orchestrator_request AS request LEFT JOIN orchestrator_message AS message
    ON message.request_id = request.id AND message.number >= %(first)s AND message.number < %(first)s + %(size)s
WHERE request.id = %(id)s AND request.client_id = %(client)s
ORDER BY message.number
"""

# By primary key. A statement of its own: planning both at once would cost every answer half as much again.
_MESSAGE = """
SELECT id, status, failure_kind FROM orchestrator_message WHERE id = %(id)s AND client_id = %(client)s
"""


def find_page(*, client_id: int, wanted: uuid.UUID, page: int, size: int) -> Page | None:
    """Return a page (from 0) of a request's messages, or of the one message that `wanted` is; None if neither."""
    first = page * size
    values: dict[str, Any] = {"id": wanted, "client": client_id, "first": first, "size": size}
    with connection.cursor() as cursor:
        cursor.execute(_PAGE, values)
        if rows := cursor.fetchall():
            return Page([Item(*item) for _, *item in rows if item[0] is not None], total=rows[0][0])
        cursor.execute(_MESSAGE, values)
        messages = [Item(*row) for row in cursor.fetchall()]
    return Page(messages[first:], total=1) if messages else None
