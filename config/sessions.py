"""Django's session machinery, for the admin's paths only: a REST call does not pay for it.

In: a request. Out: the same, after the session, CSRF, user and message steps if it is one of the admin's.
Named by the settings; each class is Django's own, so Django's checks of the admin are content.
"""

from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import Http404, HttpRequest, HttpResponseForbidden
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.deprecation import MiddlewareMixin

ADMIN = "/admin/"


class _AdminOnly(MiddlewareMixin):
    """Steps aside for all other paths."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        step = super().__call__ if request.path_info.startswith(ADMIN) else self.get_response
        answer: HttpResponseBase = step(request)  # type: ignore[assignment]
        return answer


class Sessions(_AdminOnly, SessionMiddleware):
    """The session of an operator."""


class Csrf(_AdminOnly, CsrfViewMiddleware):
    """Protects the admin's forms."""

    def process_view(self, request: HttpRequest, *view: Any, **options: Any) -> HttpResponseForbidden | None:
        """Check the token of an admin's form."""
        return super().process_view(request, *view, **options) if request.path_info.startswith(ADMIN) else None


class Users(_AdminOnly, AuthenticationMiddleware):
    """The operator who is logged in."""


class Messages(_AdminOnly, MessageMiddleware):
    """What the admin tells after an action."""


class Addresses(_AdminOnly, MiddlewareMixin):
    """Nothing is found by a NUL: PostgreSQL keeps none, and says so with an error."""

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        """Raise Http404 for one in the address."""
        asked = (request.path_info, *(text for _, texts in request.GET.lists() for text in texts))
        if request.path_info.startswith(ADMIN) and any("\x00" in text for text in asked):
            raise Http404


class Frames(_AdminOnly, XFrameOptionsMiddleware):
    """No admin page inside a foreign frame."""
