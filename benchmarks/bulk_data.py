"""Large ledgers in little time: rows made by the server itself, indexes built when they are all there."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

_CLIENT = "(SELECT id FROM orchestrator_client WHERE name = 'demo')"

# Thirty days until tomorrow's end: a run that passes midnight finds a full "today", too. Of a hundred requests eighty
# hold one message, fifteen 4, four 20 and one 200: 4.2 on average.
_DRAW_REQUESTS = """
CREATE TEMPORARY TABLE drawn ON COMMIT DROP AS
SELECT n, received_at, size, uuidv7(received_at - clock_timestamp()) AS id, sum(size) OVER (ORDER BY n) - size AS before
FROM (
    SELECT n,
        date_trunc('milliseconds', date_trunc('day', now(), 'UTC') - interval '28 days'
            + interval '30 days' * (n - 1) / %(requests)s) AS received_at,
        CASE WHEN n %% 100 < 80 THEN 1 WHEN n %% 100 < 95 THEN 4 WHEN n %% 100 < 99 THEN 20 ELSE 200 END AS size
    FROM generate_series(1, %(requests)s) AS n
) AS sized
"""

# Of a hundred messages 89 are Complete, 8 Failed, 2 Invalid, 1 Cancelled, whatever their request and type.
_FILL_MESSAGES = f"""
INSERT INTO orchestrator_message (
    id, request_id, client_id, number, type, lane, turn, external_reference, payload, status, failure_kind, result,
    errors, attempts, received_at, first_started_at, processed_at
)
SELECT uuidv7(received_at - clock_timestamp()), id, {_CLIENT}, number, type, type, place, 'ref-' || place / 2,
    '{{"text":"some fields of its own","n":' || place || '}}', status,
    CASE status WHEN 'Failed' THEN 'rejected' END,
    CASE status WHEN 'Complete' THEN '{{"text":"some fields of its own"}}' END,
    CASE WHEN status IN ('Failed', 'Invalid') THEN '["Unable to process"]'::jsonb END,
    1, received_at, received_at, received_at + interval '2 seconds'
FROM (
    SELECT drawn.*, number, before + number AS place,
        ('{{Opportunity,Customer,Vehicle,Ticket}}'::text[])[1 + (n / 100 + number / 3) %% 4] AS type,
        CASE (before + number) * 7919 %% 100 WHEN 0 THEN 'Cancelled' WHEN 1 THEN 'Invalid' WHEN 2 THEN 'Invalid'
            ELSE CASE WHEN (before + number) * 7919 %% 100 < 11 THEN 'Failed' ELSE 'Complete' END END AS status
    FROM drawn, generate_series(0, size - 1) AS number
) AS made
"""

_FILL_REQUESTS = f"""
INSERT INTO orchestrator_request (
    id, client_id, door, batch_reference, error_policy, types, received_at, completed_at,
    total, open, complete, failed, invalid, cancelled
)
SELECT id, {_CLIENT}, 'requests', 'batch-' || n, 'proceedOnError', types, received_at, received_at + interval '2 s',
    size, 0, complete, failed, invalid, cancelled
FROM drawn JOIN (
    SELECT request_id, array_agg(DISTINCT type) AS types,
        count(*) FILTER (WHERE status = 'Complete') AS complete, count(*) FILTER (WHERE status = 'Failed') AS failed,
        count(*) FILTER (WHERE status = 'Invalid') AS invalid, count(*) FILTER (WHERE status = 'Cancelled') AS cancelled
    FROM orchestrator_message GROUP BY request_id
) AS counted ON counted.request_id = drawn.id
"""
MESSAGES_A_REQUEST = 4.2

_QUEUE_REQUEST = f"""
INSERT INTO orchestrator_request (id, client_id, door, error_policy, types, received_at, total, open)
SELECT uuidv7(), {_CLIENT}, 'requests', 'proceedOnError', '{{Echo}}', now(), %(messages)s, %(messages)s
RETURNING id
"""
_QUEUE_MESSAGES = f"""
INSERT INTO orchestrator_message (
    id, request_id, client_id, number, type, lane, turn, external_reference, payload, status, received_at
)
SELECT uuidv7(), %(request)s, {_CLIENT}, n, 'Echo', 'Echo', %(from_turn)s + n, 'ref-' || n,
    '{{"text":"some fields of its own","n":' || n || '}}', 'Queued', now()
FROM generate_series(1, %(messages)s) AS n
"""
_OPEN_LANE = "INSERT INTO orchestrator_lane (name, queue) VALUES ('Echo', 'waybill') ON CONFLICT DO NOTHING"

_FILL_ORDERS = f"""
INSERT INTO orders_order (id, client_id, access_id, service, operation, state, message, received_at, finished_at)
SELECT uuidv7(), {_CLIENT}, 'STTA' || n %% 10000, 'BB-100-' || n %% 7 || ':BB',
    CASE WHEN n %% 2 = 0 THEN 'ACTIVATE' ELSE 'DEACTIVATE' END,
    CASE WHEN n %% 10 = 0 THEN 'DONE_FAILED' ELSE 'DONE_SUCCESS' END,
    CASE WHEN n %% 10 = 0 THEN 'Unable to process' ELSE '' END, now(), now()
FROM generate_series(1, %(events)s) AS n
"""
_FILL_EVENTS = """
INSERT INTO orders_orderevent (
    id, client_id, position, order_id, access_id, service, operation, state, message, happened_at
)
SELECT uuidv7(), client_id, row_number() OVER (ORDER BY id), id, access_id, service, operation, state, message,
    finished_at
FROM orders_order
"""
_FILL_FEED = (
    "INSERT INTO orders_feed (client_id, last_position) SELECT client_id, count(*) FROM orders_order GROUP BY 1"
)


def fill_ledger(connection: psycopg.Connection, *, messages: int) -> None:
    """Fill an empty ledger with the demo client's finished requests of thirty days."""
    with connection.transaction(), _without_indexes(connection, "orchestrator_message", "orchestrator_request"):
        connection.execute(_DRAW_REQUESTS, {"requests": round(messages / MESSAGES_A_REQUEST)})
        connection.execute(_FILL_MESSAGES, {})
        connection.execute(_FILL_REQUESTS, {})
    settle(connection, "orchestrator_message", "orchestrator_request")


def empty(connection: psycopg.Connection) -> None:
    """Take all requests and messages away."""
    connection.execute("TRUNCATE orchestrator_request, orchestrator_message, orchestrator_claim CASCADE")


def queue_messages(connection: psycopg.Connection, *, messages: int, from_turn: int = 0) -> None:
    """Queue so many messages of one request in the lane Echo, behind a turn."""
    with connection.transaction():
        connection.execute(_OPEN_LANE)
        request = connection.execute(_QUEUE_REQUEST, {"messages": messages}).fetchone()[0]
        values = {"request": request, "messages": messages, "from_turn": from_turn}
        connection.execute(_QUEUE_MESSAGES, values)


def fill_feed(connection: psycopg.Connection, *, events: int) -> None:
    """Fill the demo client's feed with the events of as many orders."""
    with connection.transaction(), _without_indexes(connection, "orders_order", "orders_orderevent"):
        connection.execute(_FILL_ORDERS, {"events": events})
        connection.execute(_FILL_EVENTS)
        connection.execute(_FILL_FEED)
    settle(connection, "orders_order", "orders_orderevent")


def settle(connection: psycopg.Connection, *tables: str) -> None:
    """Do what autovacuum would have done by now."""
    for table in tables:
        connection.execute(f"VACUUM (ANALYZE) {table}")
    connection.execute("CHECKPOINT")


@contextmanager
def _without_indexes(connection: psycopg.Connection, *tables: str) -> Iterator[None]:
    """Take foreign keys and indexes away, and build them again at the end: ten times as quick as row by row."""
    connection.execute("SET LOCAL maintenance_work_mem = '256MB'")
    connection.execute("SET LOCAL work_mem = '128MB'")
    keys = connection.execute(_FOREIGN_KEYS, {"tables": list(tables)}).fetchall()
    indexes = connection.execute(_INDEXES, {"tables": list(tables)}).fetchall()
    for table, name, _ in keys:
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    yield
    for _, definition in indexes:
        connection.execute(definition)
    for table, name, definition in keys:
        connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")


_FOREIGN_KEYS = """
SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND conrelid = ANY (%(tables)s::regclass[])
"""
_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = ANY (%(tables)s::regclass[])
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""
