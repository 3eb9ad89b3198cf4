"""What the ledger says when all is done, as plain rows: the other half of the evidence.

In: a connection to the stack's PostgreSQL. Out: `ledger.json`. Called by the run, after the drain.
"""

import json
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

_TABLES = {
    "requests": """
        SELECT request.id::text, client.client_id AS client, door, batch_reference, total, open, complete, failed,
            invalid, cancelled, completed_at IS NOT NULL AS completed
        FROM orchestrator_request AS request JOIN orchestrator_client AS client ON client.id = request.client_id
    """,
    "messages": """
        SELECT id::text, request_id::text AS request, number, type, status, failure_kind, attempts, losses,
            processed_at IS NOT NULL AS final
        FROM orchestrator_message
    """,
    "orders": """
        SELECT placed.id::text, client.client_id AS client, state, finished_at IS NOT NULL AS final
        FROM orders_order AS placed JOIN orchestrator_client AS client ON client.id = placed.client_id
    """,
    "events": """
        SELECT event.id::text, client.client_id AS client, position, order_id::text AS order
        FROM orders_orderevent AS event JOIN orchestrator_client AS client ON client.id = event.client_id
        ORDER BY event.client_id, position
    """,
    "claims": "SELECT id FROM orchestrator_claim",
}

_STILL_OPEN = """
SELECT (SELECT count(*) FROM orchestrator_message WHERE processed_at IS NULL)
    + (SELECT count(*) FROM orchestrator_claim)
    + (SELECT count(*) FROM orders_order WHERE finished_at IS NULL)
"""


def count_open(connection: psycopg.Connection[Any]) -> int:
    """Count the messages, claims and orders that are not done with."""
    row = connection.execute(_STILL_OPEN).fetchone()
    return int(row[0]) if row else 0


def dump(connection: psycopg.Connection[Any], path: Path) -> None:
    """Write all that is needed of the ledger: one snapshot."""
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        rows = {name: cursor.execute(statement).fetchall() for name, statement in _TABLES.items()}
    path.write_text(json.dumps(rows))


def read(path: Path) -> dict[str, list[dict[str, Any]]]:
    tables: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())
    return tables
