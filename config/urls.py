"""Every path, by room; and the answers of Django itself: JSON in the family's shape, and pages at the desk."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.generic import RedirectView

from config.sessions import ADMIN
from orchestrator.admin import login, own_password, refusing
from orchestrator.api import problems

# Django tries one path after the other: short lists and hot windows come first, the longest last.
urlpatterns = [
    path("", include("tracking.native.urls")),
    path("", include("tracking.status.urls")),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/dashboard/", include("orchestrator.admin.dashboard")),
    path("admin/login/", login.show),  # before Django's own, whose name leads here
    path("admin/password_change/", admin.site.admin_view(own_password.show)),  # the same
    path("admin/", admin.site.urls),
    path("", include("orchestrator.api.urls")),
    path("", include("tracking.gateway.urls")),
    path("", include("orders.api.urls")),
    path("", include("tracking.states.urls")),
]


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django's signature
    """Answer a request that Django itself could not accept."""
    return _answer(request, problems.Problem(400, "Bad request"))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """Answer a path that leads nowhere."""
    return _answer(request, problems.Problem(404, "Resource was not found"))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """Answer what Django itself does not allow."""
    return _answer(request, problems.Problem(403, "Forbidden"))


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a failure outside the windows; Django has logged it."""
    return _answer(request, problems.Problem(500, "Internal server error"))


def _answer(request: HttpRequest, problem: problems.Problem) -> HttpResponse:
    """Answer a browser at the desk with a page; its own scripts ask for JSON."""
    if not (request.path_info.startswith(ADMIN) and request.accepts("text/html")):
        return problems.respond(request.path, problem)
    page = refusing.respond(request, problem.status)
    problems.keep_quiet(page)
    return page


handler400 = "config.urls.bad_request"
handler403 = "config.urls.forbidden"
handler404 = "config.urls.not_found"
handler500 = "config.urls.server_error"
