"""The paths of this family."""

from django.urls import URLPattern

from orchestrator.api.routes import route
from tracking.gateway import search_view

urlpatterns: list[URLPattern] = [
    route("api/v1/tracking", search_view.TrackingView.as_view(), name="tracking"),
]
