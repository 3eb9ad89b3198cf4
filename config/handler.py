"""Django's WSGI handler, with what is known of a call around it: its id, its route, its trace.

In: a WSGI environment. Out: Django's response, with the route that it came by. Called by the bridge.
"""

from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest

from orchestrator import context, traceparent, tracing
from orchestrator.api import routes

CALL_ID = "X-Request-Id"


class Handler(WSGIHandler):
    """One per process."""

    def get_response(self, request: HttpRequest) -> Any:
        """Answer a call; the response's `route` is the template of its path, None for one that leads nowhere."""
        call_id = context.begin_call(request.headers.get(CALL_ID))
        try:
            response = self._answer_traced(request) if tracing.is_on() else self._answer(request)
        finally:
            context.end_call()
        response[CALL_ID] = call_id
        return response

    def _answer(self, request: HttpRequest) -> Any:
        response: Any = super().get_response(request)
        match = request.resolver_match
        response.route = routes.template(match.route) if match else None
        return response

    def _answer_traced(self, request: HttpRequest) -> Any:
        method = str(request.method)
        parent = traceparent.read(request.headers.get("traceparent"))
        with tracing.serving(method=method, traceparent=parent) as span:
            response = self._answer(request)
            if span is not None:
                tracing.named(span, method=method, route=response.route, status=response.status_code)
        return response
