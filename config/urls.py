"""Every path, by room; and the answers of Django itself, which are JSON in the family's shape too."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.generic import RedirectView

from orchestrator.api import problems

# Django tries one path after the other: short lists and hot windows come first, the longest last.
urlpatterns = [
    path("", include("tracking.native.urls")),
    path("", include("tracking.status.urls")),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/dashboard/", include("orchestrator.admin.dashboard")),
    path("admin/", admin.site.urls),
    path("", include("orchestrator.api.urls")),
    path("", include("tracking.gateway.urls")),
    path("", include("orders.api.urls")),
    path("", include("tracking.states.urls")),
]


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django's signature
    """Answer a request that Django itself could not accept."""
    return problems.respond(request.path, problems.Problem(400, "Bad request"))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """Answer a path that leads nowhere."""
    return problems.respond(request.path, problems.Problem(404, "Resource was not found"))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """Answer what Django itself does not allow."""
    return problems.respond(request.path, problems.Problem(403, "Forbidden"))


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a failure outside the windows; Django has logged it."""
    return problems.respond(request.path, problems.Problem(500, "Internal server error"))


handler400 = "config.urls.bad_request"
handler403 = "config.urls.forbidden"
handler404 = "config.urls.not_found"
handler500 = "config.urls.server_error"
