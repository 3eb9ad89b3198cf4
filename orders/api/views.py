"""Orders: place one, look at one, read the events of those that are finished, list the accesses."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import ClassVar

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from orchestrator import ids, intake
from orchestrator.api import doors, rendering
from orchestrator.api.problems import Problem
from orchestrator.api.window import Request, WindowView
from orchestrator.models import Scope
from orders import accesses, feed, placing, storing
from orders.api import answers, bodies, documentation, errors


class OrdersView(WindowView):
    """POST /api/2.3.1/orders/."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.ORDERS_WRITE}

    @documentation.place
    def post(self, request: Request) -> HttpResponse:
        """Place an order."""
        raw = self.body(request)
        account = request.caller.account
        with doors.refusals():
            wish = bodies.read(raw)
            key = doors.read_key(request, account=account, body=raw)
            try:
                answer = placing.place(
                    wish,
                    account=account,
                    key=key,
                    traceparent=doors.read_traceparent(request),
                    answer=lambda placed: answers.placed(placed, wish=wish),
                )
            except placing.Refused as refusal:
                raise Problem(400, str(refusal)) from refusal
            except intake.TypeRefused as refusal:
                raise Problem(403, "You may not place orders: the message type 'Order' is not yours") from refusal
        return doors.deliver(answer)


class OrderView(WindowView):
    """GET /api/2.3.1/orders/{id}."""

    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.ORDERS_READ}

    @documentation.read
    def get(self, request: Request, id: str) -> HttpResponse:  # noqa: A002 - the contract's name
        """Answer an order as it is now."""
        order_id = ids.parse(id)
        order = storing.find(client_id=request.caller.account.id, order_id=order_id) if order_id else None
        if order is None:
            raise errors.unknown_order()
        return rendering.respond(answers.order_body(order), headers=answers.last_modified(order))


class OrderEventsView(WindowView):
    """GET /api/2.3.1/orderevents/."""

    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.ORDERS_READ}

    @documentation.events
    def get(self, request: Request) -> HttpResponseBase:
        """Answer all events, or those after `since`."""
        since = request.GET.get("since")
        event_id = ids.parse(since) if since is not None else None
        if since is not None and event_id is None:
            raise _unknown_event()
        try:
            span = feed.find_span(client_id=request.caller.account.id, since=event_id)
        except feed.UnknownEvent as refusal:
            raise _unknown_event() from refusal
        return _answer_list(feed.read(span, order_path=answers.ORDER_PATH))


class AccessesView(WindowView):
    """GET /api/2.3.1/accesses/."""

    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.ORDERS_READ}

    @documentation.accesses
    def get(self, request: Request) -> HttpResponseBase:  # noqa: ARG002 - every caller sees the same
        """Answer all accesses with their services."""
        return _answer_list(accesses.read())


def _unknown_event() -> Problem:
    """The one answer for a `since` that is empty, malformed, unknown or another client's."""
    return Problem(400, "since: you have no event of this id", field="since")


def _answer_list(pages: Iterator[str]) -> HttpResponseBase:
    """Answer with a JSON array: what one page holds as a whole, more as a stream.

    A page of a stream is read when the one before is on its way, so the answer needs the memory of two.
    """
    first = list(islice(pages, 2))
    chunks = _enclose(chain(first, pages))
    if len(first) < 2:
        return HttpResponse(b"".join(chunks), content_type=rendering.CONTENT_TYPE)
    return StreamingHttpResponse(chunks, content_type=rendering.CONTENT_TYPE)


def _enclose(pages: Iterable[str]) -> Iterator[bytes]:
    """Put brackets around the pages, and commas between them."""
    before = "["
    for page in pages:
        yield f"{before}{page}".encode()
        before = ","
    yield b"[]" if before == "[" else b"]"
