"""Request status, v3 and v2: where the messages of a request are."""

from typing import Any, ClassVar

from django.http import HttpResponse

from orchestrator import ids
from orchestrator.api import rendering
from orchestrator.api.window import Request, WindowView
from orchestrator.models import Scope
from tracking.status import answers, documentation, errors, parameters, queries, words


class StatusView(WindowView):
    """GET /api/v3/global/call/{id}: the id and the status of each message."""

    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.TRACKING_READ}

    @documentation.v3
    def get(self, request: Request, id: str) -> HttpResponse:  # noqa: A002 - the contract's name
        """Answer a page of a request's messages, or the one message of that id."""
        return _answer(request, id, with_ids=True)


class StatusOnlyView(WindowView):
    """GET /api/v2/global/call/{id}: the same without ids."""

    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.TRACKING_READ}

    @documentation.v2
    def get(self, request: Request, id: str) -> HttpResponse:  # noqa: A002 - the contract's name
        """Answer a page of the statuses alone."""
        return _answer(request, id, with_ids=False)


def _answer(request: Request, call_id: str, *, with_ids: bool) -> HttpResponse:
    wanted = parameters.read_page(request.GET)
    message_or_request = ids.parse(call_id)
    if message_or_request is None:
        raise errors.unknown_id()
    page = queries.find_page(
        client_id=request.caller.account.id, wanted=message_or_request, page=wanted.page, size=wanted.size
    )
    if page is None:
        raise errors.unknown_id()
    return rendering.respond(_body(page, wanted=wanted, with_ids=with_ids))


def _body(page: queries.Page, *, wanted: parameters.PageWanted, with_ids: bool) -> dict[str, Any]:
    return {
        "errorCode": "",
        "errorMessage": "",
        "content": [_item(item, with_id=with_ids) for item in page.items],
        "pageable": answers.pageable(page=wanted.page, size=wanted.size, elements=page.total),
    }


def _item(item: queries.Item, *, with_id: bool) -> dict[str, Any]:
    status = {"status": words.word(item.status, item.failure_kind)}
    return {"requestId": item.message_id} | status if with_id else status
