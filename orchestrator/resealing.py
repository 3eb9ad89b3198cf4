"""Bring what the ledger keeps under the key of today: after a new key, and when encryption is begun or ended.

In: finished messages under another key, or none. Out: the same under the current one. Called by `manage.py reseal`.
What is open stays as it is, and is met by a later run: a worker may be writing it.
"""

import uuid
from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction

from orchestrator import payloads
from orchestrator.lifecycle import FINAL
from orchestrator.payloads import Part

_AT_ONCE = 500


def reseal() -> Iterator[int]:
    """Go through all messages by id; yield how many were changed, batch by batch. Raises payloads.Unreadable."""
    last: uuid.UUID | None = uuid.UUID(int=0)
    while last is not None:
        last, changed = _reseal_batch(last)
        yield changed


def count_open() -> int:
    """Return how many open messages are still under another key."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_OPEN, _parameters(uuid.UUID(int=0)))
        return int(cursor.fetchone()[0])


@transaction.atomic
def _reseal_batch(after: uuid.UUID) -> tuple[uuid.UUID | None, int]:
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, _parameters(after))
        rows = cursor.fetchall()
        anew = [_renew(*row) for row in rows]
        if anew:
            ids, texts, results = zip(*anew, strict=True)
            written = {"ids": list(ids), "payloads": list(texts), "results": list(results), "key": payloads.key_id()}
            cursor.execute(_WRITE, written)
    return (rows[-1][0] if len(rows) == _AT_ONCE else None), len(anew)


def _renew(message_id: uuid.UUID, payload: str, result: str | None) -> tuple[uuid.UUID, str, str | None]:
    renewed = [_renew_text(text, message_id, part) for text, part in ((payload, Part.PAYLOAD), (result, Part.RESULT))]
    return message_id, renewed[0] or "", renewed[1]


def _renew_text(kept: str | None, message_id: uuid.UUID, part: Part) -> str | None:
    if not kept:
        return kept  # cleared, or there is none
    return payloads.seal(payloads.reveal(kept, message_id=message_id, part=part), message_id=message_id, part=part)


def _parameters(after: uuid.UUID) -> dict[str, Any]:
    key = payloads.key_id()
    return {
        "after": after,
        "key": key,
        "mark": payloads.mark_of(None),
        "right": payloads.mark_of(key) if key else None,
        "final": sorted(FINAL),
        "limit": _AT_ONCE,
    }


# A cleared message has nothing to seal. A result may have been written under another key than its payload, or under
# none: while keys change, the process that took the message in is not always told the same as the one that ended it.
_WRONG = """
payload <> '' AND (
    payload_key_id IS DISTINCT FROM %(key)s
    OR (result <> '' AND CASE WHEN %(right)s::text IS NULL
        THEN starts_with(result, %(mark)s) ELSE NOT starts_with(result, %(right)s) END)
)
"""

# By primary key: the whole table, once, in short transactions.
_NEXT = f"""
SELECT id, payload, result FROM orchestrator_message
WHERE id > %(after)s AND status = ANY (%(final)s) AND {_WRONG} ORDER BY id LIMIT %(limit)s FOR NO KEY UPDATE
"""  # noqa: S608 - the pieces are ours

_WRITE = """
UPDATE orchestrator_message AS message
SET payload = sealed.payload, result = sealed.result, payload_key_id = %(key)s
FROM unnest(%(ids)s::uuid[], %(payloads)s::text[], %(results)s::text[]) AS sealed (id, payload, result)
WHERE message.id = sealed.id
"""

_COUNT_OPEN = f"""
SELECT count(*) FROM orchestrator_message WHERE NOT status = ANY (%(final)s) AND {_WRONG}
"""  # noqa: S608 - the pieces are ours
