"""What a browser at the desk is told when a page isn't there, isn't for its user, or failed: a page like the others.

In: a request and a status. Out: a page that says no more than that. Called by `config/urls.py` and Django's CSRF check.
"""

from dataclasses import dataclass

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

_AT_THE_DESK = "admin/base_site.html"
_OUTSIDE = "unfold/layouts/unauthenticated.html"


@dataclass(frozen=True, slots=True)
class _Notice:
    title: str
    text: str


_NOTICES = {
    400: _Notice("Bad request", "The desk does not understand what your browser sent."),
    403: _Notice("Not permitted", "Your roles don't allow this. An administrator can change them."),
    404: _Notice("Not found", "There is no such page, or what it showed is gone."),
    500: _Notice("That failed", "It is our fault, and stands in the log. Nothing was changed by halves."),
}
_FORGED = _Notice("Not taken", "The form was too old, or not the desk's own. Load its page anew, and send it again.")


def respond(request: HttpRequest, status: int) -> HttpResponse:
    """Return the page of a status."""
    if status == 500 or not hasattr(request, "user"):
        request.user = AnonymousUser()  # the ledger may be what failed, so nobody is looked up in it
    return _render(request, _NOTICES[status], status)


def refuse_forged(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 - Django's signature
    """Return the page for a form without a valid token: named by `CSRF_FAILURE_VIEW`."""
    return _render(request, _FORGED, 403)


def _render(request: HttpRequest, notice: _Notice, status: int) -> HttpResponse:
    layout = _AT_THE_DESK if admin.site.has_permission(request) else _OUTSIDE
    context = {**admin.site.each_context(request), "title": notice.title, "text": notice.text, "layout": layout}
    return HttpResponse(render_to_string("desk/refused.html", context, request=request), status=status)
