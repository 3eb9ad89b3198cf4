"""POST /api/v1/tracking: the tracking search."""

from collections.abc import Iterator
from itertools import chain
from typing import ClassVar

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from orchestrator.api.problems import Problem
from orchestrator.api.rendering import CONTENT_TYPE
from orchestrator.api.window import Request, WindowView
from orchestrator.json_text import BadJSON
from orchestrator.models import Scope
from tracking.gateway import criteria, rendering, search, search_documentation


class TrackingView(WindowView):
    """Answers at once; what one statement does not hold is streamed."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.TRACKING_READ}

    @search_documentation.search
    def post(self, request: Request) -> HttpResponseBase:
        """Find requests by their messages."""
        wanted = _read(self.body(request))
        account = request.caller.account
        pieces = search.run(wanted, client_id=account.id)
        first = next(pieces)
        chunks = rendering.search_body(wanted.echo, chain([first], pieces), account=account)
        return _answer(chunks, whole=first.last)


def _read(body: bytes) -> criteria.Search:
    try:
        return criteria.read(body, now=timezone.now())
    except BadJSON as error:
        raise Problem(400, str(error)) from error
    except criteria.BadSearch as error:
        raise Problem(400, str(error), field=error.name, index=error.index) from error


def _answer(chunks: Iterator[bytes], *, whole: bool) -> HttpResponseBase:
    """Answer with one body, or with a stream: there each chunk is read when the one before is on its way."""
    if whole:
        return HttpResponse(b"".join(chunks), content_type=CONTENT_TYPE)
    return StreamingHttpResponse(chunks, content_type=CONTENT_TYPE)
