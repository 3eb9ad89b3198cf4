"""The limit: COPY in, and UPDATEs of 500 rows out, on the ledger's own table with all its indexes, one connection."""

import time
import uuid

import psycopg
import uuid_utils

_BATCH = 500

_REQUEST = """
INSERT INTO orchestrator_request (id, client_id, door, error_policy, types, received_at, total, open)
SELECT %s, id, 'requests', 'proceedOnError', '{ByHand}', now(), %s, %s FROM orchestrator_client LIMIT 1
RETURNING client_id
"""
_COPY = """
COPY orchestrator_message (id, request_id, client_id, state_number, number, type, lane, turn, external_reference,
    payload, status, received_at) FROM STDIN
"""
_UPDATE = """
UPDATE orchestrator_message SET status = 'Complete', result = payload, attempts = 1, processed_at = now()
WHERE id = ANY (%s)
"""
# Not timed: the counters are no part of the limit, but the parts that follow wait until no request is open.
_TIDY = """
UPDATE orchestrator_request SET open = 0, complete = total, completed_at = now() WHERE types = '{ByHand}' AND open > 0
"""


def carry_through(database_url: str, *, messages: int, per_request: int) -> float:
    """Store and complete `messages`, and return the seconds it took."""
    with psycopg.connect(database_url) as connection:
        began = time.monotonic()
        for _ in range(messages // per_request):
            ids = _copy_in(connection, per_request)
            for start in range(0, per_request, _BATCH):
                connection.execute(_UPDATE, (ids[start : start + _BATCH],))
                connection.commit()
        seconds = time.monotonic() - began
        connection.execute(_TIDY)
    return seconds


def _copy_in(connection: psycopg.Connection, messages: int) -> list[uuid.UUID]:
    request_id = uuid.uuid4()
    ids = [uuid.UUID(bytes=uuid_utils.uuid7().bytes) for _ in range(messages)]
    row = connection.execute(_REQUEST, (request_id, messages, messages)).fetchone()
    received_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for number, message_id in enumerate(ids):
            copy.write_row(
                (
                    message_id,
                    request_id,
                    row[0],
                    0,
                    number,
                    "ByHand",
                    "ByHand",
                    number,
                    f"ref-{number}",
                    f'{{"n":{number}}}',
                    "Queued",
                    received_at,
                )
            )
    connection.commit()
    return ids
