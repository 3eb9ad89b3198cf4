"""Orders in the family's words.

In: rows, or what came of placing an order. Out: bodies, headers, the door's answer. Called by `views.py`.
"""

from typing import Any

from django.utils.http import http_date

from orchestrator.api import rendering
from orchestrator.idempotency import Answer
from orders.api import errors
from orders.models import State
from orders.placing import Placed, Wish
from orders.storing import OrderRow

ORDER_PATH = f"{errors.PREFIX}/orders/"
"""Where an order is read: its id follows."""


def order_body(order: OrderRow) -> dict[str, Any]:
    """Return an order as its window and its event show it."""
    return {
        "path": f"{ORDER_PATH}{order.id}",
        "accessId": order.access_id,
        "service": order.service,
        "operation": order.operation.value,
        "state": order.state.value,
        "message": order.message,
    }


def last_modified(order: OrderRow) -> dict[str, str]:
    """Return the header that says when the order last changed (RFC 9110 §8.8.2)."""
    return {"Last-Modified": http_date((order.finished_at or order.received_at).timestamp())}


def placed(result: Placed, *, wish: Wish) -> Answer:
    """Answer a POST: the order, new or under way already, or that everything is as wished."""
    order = result.order
    if order is None:
        return Answer(status=200, body=rendering.dumps(_fulfilled(wish)))
    headers = {"Request-Id": str(order.id), "Location": f"{ORDER_PATH}{order.id}", **last_modified(order)}
    return Answer(
        status=201 if result.is_new else 200,
        headers=headers,
        body=rendering.dumps(order_body(order)),
        request_id=order.id,
    )


def _fulfilled(wish: Wish) -> dict[str, Any]:
    return {
        "accessId": wish.access_id,
        "service": wish.service,
        "operation": wish.operation.value,
        "state": State.DONE_SUCCESS.value,
        "message": "",
    }
