"""Place an order: one answer for every case, and one order for one wish, however many ask at once.

In: an order whose fields the door has checked. Out: the door's answer, after COMMIT; a new order is a message then.
Called by the orders' door.

The races: two orders at once for one service, or for two services of one type. Whoever places an order first locks the
services of its access; what is true then stays true until its COMMIT.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator import idempotency, intake
from orchestrator.auth import Account
from orchestrator.lifecycle import ErrorPolicy
from orders import network, storing
from orders.models import Operation, State
from orders.storing import OrderRow, ServiceRow


class Refused(Exception):
    """The order can't be placed; the message says why, for the client."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client orders. `payload`: all its fields as JSON text, for the network."""

    access_id: str
    service: str
    operation: Operation
    forced_takeover: bool
    sp_reference: str | None
    payload: str


@dataclass(frozen=True, slots=True)
class Placed:
    """What came of it. `order` None: everything is already as wished, and nothing was stored."""

    order: OrderRow | None
    is_new: bool = False


Answer = Callable[[Placed], idempotency.Answer]


def place(
    wish: Wish, *, account: Account, key: idempotency.Key | None, traceparent: str | None, answer: Answer
) -> idempotency.Answer:
    """Place the order, unless the wish is under way or fulfilled already; return what `answer` makes of it.

    Raises Refused, and what `intake.accept` raises.
    """

    def look(*, locked: bool) -> idempotency.Answer | None:
        placed = _judge(wish, _read(wish.access_id, locked=locked), client_id=account.id)
        return answer(placed) if placed else None

    def store(receipt: intake.Receipt) -> None:
        order = _make_order(wish, receipt, client_id=account.id)
        storing.insert(order, forced_takeover=wish.forced_takeover, sp_reference=wish.sp_reference)

    def answer_new(receipt: intake.Receipt) -> idempotency.Answer:
        return answer(Placed(_make_order(wish, receipt, client_id=account.id), is_new=True))

    try:
        return intake.accept(
            _make_submission(wish, account=account, traceparent=traceparent),
            key=key,
            answer=answer_new,
            already=lambda: look(locked=False),  # costs no turn, and is no matter of the client's limit
            own_work=intake.OwnWork(beforehand=lambda: look(locked=True), beside=store),
        )
    except intake.Unfit as unfit:
        raise Refused("; ".join(unfit.problems[0])) from unfit


def _make_submission(wish: Wish, *, account: Account, traceparent: str | None) -> intake.Submission:
    return intake.Submission(
        account=account,
        door=network.DOOR,
        messages=[intake.NewMessage(network.TYPE, None, wish.payload)],
        batch_reference=wish.sp_reference,
        error_policy=ErrorPolicy.PROCEED,
        traceparent=traceparent,
        all_or_nothing=True,  # the back end's own schema, where it has one
    )


def _make_order(wish: Wish, receipt: intake.Receipt, *, client_id: int) -> OrderRow:
    """Make the order that stands beside its message: it has the request's id."""
    return OrderRow(
        id=receipt.request_id,
        client_id=client_id,
        access_id=wish.access_id,
        service=wish.service,
        operation=wish.operation,
        state=State.RECEIVED,
        message="",
        received_at=receipt.received_at,
        finished_at=None,
    )


@dataclass(frozen=True, slots=True)
class _Access:
    """An access as it is: its services, and the orders for them that are under way."""

    services: list[ServiceRow]
    open_orders: list[OrderRow]


def _read(access_id: str, *, locked: bool) -> _Access:
    """Read an access, under its services' locks or without.

    Without them the orders come first: an order that ends in between has then been seen open, or its effect is seen.
    """
    if locked:
        services = storing.lock_services(access_id)
        return _Access(services, storing.find_open(access_id))
    open_orders = storing.find_open(access_id)
    return _Access(storing.find_services(access_id), open_orders)


def _judge(wish: Wish, access: _Access, *, client_id: int) -> Placed | None:
    """Decide: return what stands already, None for an order to be placed; raise Refused."""
    wanted = _find_service(wish, access.services)
    for order in access.open_orders:
        if order.service == wish.service:
            return Placed(_mine(order, client_id=client_id))
    _check_holder(wish, wanted, client_id=client_id)
    if (wanted.holder_id == client_id) == (wish.operation is Operation.ACTIVATE):
        return Placed(None)
    if wish.operation is Operation.ACTIVATE:
        _check_type(wanted, access)
    return None


def _find_service(wish: Wish, services: Sequence[ServiceRow]) -> ServiceRow:
    for service in services:
        if service.service == wish.service:
            return service
    if not services and not storing.has_access(wish.access_id):
        raise Refused(f"Unknown accessId: '{wish.access_id}'")
    raise Refused(f"Unknown service: '{wish.service}'")


def _mine(order: OrderRow, *, client_id: int) -> OrderRow:
    if order.client_id != client_id:
        raise Refused(f"Another order for Service '{order.service}' on this access is still being carried out.")
    return order


def _check_holder(wish: Wish, wanted: ServiceRow, *, client_id: int) -> None:
    """Raise Refused when another provider holds the service, unless it is taken over."""
    taking_over = wish.operation is Operation.ACTIVATE and wish.forced_takeover
    if wanted.holder_id not in {None, client_id} and not taking_over:
        raise Refused(f"Service '{wanted.service}' is active for another provider.")


def _check_type(wanted: ServiceRow, access: _Access) -> None:
    """Raise Refused when another service of the type is active on the access, or is just being activated."""
    activating = {order.service for order in access.open_orders if order.operation is Operation.ACTIVATE}
    for other in access.services:
        if other.service_type != wanted.service_type or other.service == wanted.service:
            continue
        if other.holder_id is not None:
            raise Refused(f"Another Service of ServiceType '{wanted.service_type}' is already active.")
        if other.service in activating:
            raise Refused(f"Another Service of ServiceType '{wanted.service_type}' is being activated.")
