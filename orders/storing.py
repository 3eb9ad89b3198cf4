"""The SQL of orders: an access's services under lock, its open orders, an order in, an order by its id.

In: what is asked for. Out: rows. Called by placing, within intake's transaction, and by the orders' window.
"""

import uuid
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from orders.models import Operation, State


class ServiceRow(NamedTuple):
    """A service on an access; `holder_id` is the client it is active for."""

    service: str
    service_type: str
    holder_id: int | None


class OrderRow(NamedTuple):
    """An order as it is now."""

    id: uuid.UUID
    client_id: int
    access_id: str
    service: str
    operation: Operation
    state: State
    message: str
    received_at: datetime
    finished_at: datetime | None


def lock_services(access_id: str) -> list[ServiceRow]:
    """Return the services of an access, which nobody else can order or settle until this transaction has ended."""
    return [ServiceRow._make(row) for row in _run(_LOCK_SERVICES, {"access_id": access_id})]


def find_services(access_id: str) -> list[ServiceRow]:
    """Return the services of an access as they are at this moment."""
    return [ServiceRow._make(row) for row in _run(_FIND_SERVICES, {"access_id": access_id})]


def has_access(access_id: str) -> bool:
    """Tell whether there is such an access: one without services is known too."""
    return bool(_run("SELECT 1 FROM orders_access WHERE id = %(access_id)s", {"access_id": access_id}))


def find_open(access_id: str) -> list[OrderRow]:
    """Return the orders for an access that are still being carried out, one a service at most."""
    return [_order(row) for row in _run(_FIND_OPEN, {"access_id": access_id, "received": State.RECEIVED.value})]


def find(*, client_id: int, order_id: uuid.UUID) -> OrderRow | None:
    """Return a client's order, None if it has no such one."""
    rows = _run(_FIND, {"client_id": client_id, "id": order_id})
    return _order(rows[0]) if rows else None


def insert(order: OrderRow, *, forced_takeover: bool, sp_reference: str | None) -> None:
    """Store a new order."""
    values = order._asdict() | {"operation": order.operation.value, "state": order.state.value}
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values | {"forced_takeover": forced_takeover, "sp_reference": sp_reference})


def _run(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _order(row: tuple[Any, ...]) -> OrderRow:
    order = OrderRow._make(row)
    return order._replace(operation=Operation(order.operation), state=State(order.state))


# By access_service_once; a handful of rows, locked in the order in which effects lock them. All of an access's services
# and not just the one: of two services of one type, only one may be active.
_LOCK_SERVICES = """
SELECT service, service_type, holder_id FROM orders_accessservice
WHERE access_id = %(access_id)s ORDER BY id FOR NO KEY UPDATE
"""

# By access_service_once.
_FIND_SERVICES = """
SELECT service, service_type, holder_id FROM orders_accessservice WHERE access_id = %(access_id)s
"""

# By order_open_once.
_FIND_OPEN = """
SELECT id, client_id, access_id, service, operation, state, message, received_at, finished_at FROM orders_order
WHERE access_id = %(access_id)s AND state = %(received)s
"""

# By primary key.
_FIND = """
SELECT id, client_id, access_id, service, operation, state, message, received_at, finished_at FROM orders_order
WHERE id = %(id)s AND client_id = %(client_id)s
"""

_INSERT = """
INSERT INTO orders_order (
    id, client_id, access_id, service, operation, state, message, received_at, finished_at,
    forced_takeover, sp_reference
) VALUES (
    %(id)s, %(client_id)s, %(access_id)s, %(service)s, %(operation)s, %(state)s, %(message)s, %(received_at)s,
    %(finished_at)s, %(forced_takeover)s, %(sp_reference)s
)
"""
