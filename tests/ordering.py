"""Orders in tests: accesses, orders placed through the door, and the network's answers without a network."""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection
from django.test import Client as Browser
from django.utils import timezone

from orchestrator import accounts, outcomes
from orchestrator.outcomes import Ending
from orders import accesses, network
from orders.models import Operation, Order
from tests import engine
from tests.api.calls import basic

ORDERS = "/api/2.3.1/orders/"
EVENTS = "/api/2.3.1/orderevents/"
ACCESSES = "/api/2.3.1/accesses/"
ACCESS, SERVICE = "STTA0001", "BB-100-10"


def make_access(*access_ids: str, services: Mapping[str, str | None] | None = None) -> None:
    """Accesses with these services (name → type), broadband if none are told."""
    accesses.save(access_ids or [ACCESS], services or {SERVICE: "BB"})


def wish(**fields: Any) -> dict[str, Any]:
    """The body of an order: to activate broadband, unless told otherwise; a field that is None is left out."""
    body = {"accessId": ACCESS, "service": SERVICE, "operation": "ACTIVATE", "forcedTakeover": False} | fields
    if body["operation"] == "DEACTIVATE" and "forcedTakeover" not in fields:
        body["forcedTakeover"] = None
    return {name: value for name, value in body.items() if value is not None}


def post(account: accounts.Account, body: Any, **headers: str) -> Any:
    """Call the door; a body that is text goes out as it is."""
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    return Browser().post(ORDERS, text, content_type="application/json", headers=basic(account.client_id) | headers)


def place(account: accounts.Account, **fields: Any) -> str:
    """Place an order that is accepted; returns its path."""
    answer = post(account, wish(**fields))
    assert answer.status_code == 201, answer.content
    return str(answer.json()["path"])


def get(account: accounts.Account, path: str) -> Any:
    """Call a window."""
    return Browser().get(path, headers=basic(account.client_id))


def read_list(answer: Any) -> Any:
    """The array of an answer, streamed or whole."""
    assert answer.status_code == 200, answer.content
    return json.loads(b"".join(answer.streaming_content) if answer.streaming else answer.content)


def events(account: accounts.Account, *, since: str | None = None) -> list[dict[str, Any]]:
    """The client's feed, or what came after an event."""
    listed: list[dict[str, Any]] = read_list(get(account, EVENTS if since is None else f"{EVENTS}?since={since}"))
    return listed


def carry_out(*, ending: Ending = Ending.COMPLETE, error: str | None = None, limit: int = 500) -> int:
    """Let the network answer all orders that wait, in one flush as a worker does; returns how many."""
    batch = engine.claim(network.TYPE, limit=limit)
    ended = [engine.ended(message, ending, error=error) for message in batch.messages]
    outcomes.flush(ended, finished_claims=[batch.claim_id] if batch.claim_id else [])
    return len(ended)


def activate(account: accounts.Account, **fields: Any) -> str:
    """Place an order and let it succeed."""
    path = place(account, **fields)
    assert carry_out() == 1
    return path


def states(answers: Iterable[dict[str, Any]]) -> Sequence[str]:
    """The states of events."""
    return [event["order"]["state"] for event in answers]


def fill_feed(client_id: int, count: int) -> None:
    """Give a client `count` more events at once, each of an order of its own, straight into the tables."""
    with connection.cursor() as cursor:
        cursor.execute(_FILL, {"client": client_id, "count": count})


_FILL = """
WITH feed AS (
    INSERT INTO orders_feed AS feed (client_id, last_position) SELECT %(client)s, %(count)s WHERE %(count)s > 0
    ON CONFLICT (client_id) DO UPDATE SET last_position = feed.last_position + excluded.last_position
    RETURNING last_position - %(count)s AS before
),
ended AS (
    INSERT INTO orders_order (
        id, client_id, access_id, service, operation, state, message, received_at, finished_at
    )
    SELECT gen_random_uuid(), %(client)s, 'STTA' || n, 'BB-100-10', 'ACTIVATE', 'DONE_SUCCESS', '', now(), now()
    FROM generate_series(1, %(count)s) AS n
    RETURNING *
)
INSERT INTO orders_orderevent (
    id, client_id, position, order_id, access_id, service, operation, state, message, happened_at
)
SELECT gen_random_uuid(), client_id, before + row_number() OVER (), ended.id,
    access_id, service, operation, state, message, finished_at
FROM ended, feed
"""


def make_open_orders(client_id: int, count: int) -> list[uuid.UUID]:
    """Give a client orders that are under way, each for an access of its own."""
    ids = [uuid.uuid4() for _ in range(count)]
    Order.objects.bulk_create(
        Order(
            id=order_id,
            client_id=client_id,
            access_id=order_id.hex,
            service=SERVICE,
            operation=Operation.ACTIVATE,
            received_at=timezone.now(),
        )
        for order_id in ids
    )
    return ids
