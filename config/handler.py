"""Django's WSGI handler, with what is known of a call once Django has found its view.

In: a WSGI environment. Out: Django's response, with the route that it came by. Called by the bridge.
"""

from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from orchestrator.api import routes


class Handler(WSGIHandler):
    """One per process."""

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a call; the response's `route` is the template of its path, None for one that leads nowhere."""
        response = super().get_response(request)
        match = request.resolver_match
        response.route = routes.template(match.route) if match else None  # type: ignore[attr-defined]
        return response
