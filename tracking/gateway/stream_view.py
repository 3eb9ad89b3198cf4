"""GET /api/v1/requests/{id}/stream: a request's course as Server-Sent Events."""

from typing import ClassVar

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from orchestrator import following
from orchestrator.api.problems import Problem
from orchestrator.api.window import Request, WindowView
from orchestrator.models import Scope
from tracking.gateway import documentation, looking, news, queries, stream

_EVENT_STREAM = "text/event-stream"
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep events back until its buffer is full
}


class StreamView(WindowView):
    """Answers as long as the request is open, from the event loop: it holds no thread and no connection."""

    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.TRACKING_READ}

    @documentation.stream
    def get(self, request: Request, id: str) -> HttpResponseBase:  # noqa: A002 - the contract's name
        """Tell what becomes of a request, from the start or after the last event that the client has."""
        if not request.accepts(_EVENT_STREAM):
            raise Problem(406, f"This is answered as {_EVENT_STREAM} only")
        request_id = looking.read_id(id)
        account = request.caller.account
        head = queries.find_head(client_id=account.id, request_id=request_id)
        if head is None:
            raise looking.unknown()
        last = request.headers.get("Last-Event-ID", "")
        if last == stream.END and head.request.completed_at is not None:
            return _no_more()
        course = stream.Course(request_id, account, after=_read_place(last, head))
        if request.method == "HEAD":  # a stream of nothing: it has no length to be told either
            return StreamingHttpResponse((), content_type=_EVENT_STREAM, headers=_HEADERS)
        if following.WATCHER.followers >= settings.WAYBILL_MAX_FOLLOWERS or following.WATCHER.is_closing:
            raise Problem(503, "As many clients are waiting as may, please try again")
        return StreamingHttpResponse(stream.events(course), content_type=_EVENT_STREAM, headers=_HEADERS)


def _no_more() -> HttpResponse:
    """Tell a client that has all not to come again (HTML, "Server-sent events", on 204)."""
    answer = HttpResponse(status=204)
    del answer["Content-Type"]
    return answer


def _read_place(last: str, head: queries.Head) -> news.Place:
    """Return the place behind which to go on; an id that no event of this request has is refused."""
    if not last:
        return news.START
    place = stream.read_place(last)
    if place is None or not news.has_place(request_id=head.request.id, place=place):
        raise Problem(400, "Last-Event-ID is not the id of an event of this request", field="Last-Event-ID")
    return place
