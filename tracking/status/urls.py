"""The paths of this family."""

from django.urls import URLPattern

from orchestrator.api.routes import route
from tracking.status import call_views, views

urlpatterns: list[URLPattern] = [
    route("api/v3/call/<messageType>", call_views.CallView.as_view(), name="call"),
    route("api/v3/bulk/<messageType>", call_views.BulkView.as_view(), name="bulk"),
    route("api/v3/global/call/<id>", views.StatusView.as_view(), name="status-v3"),
    route("api/v2/global/call/<id>", views.StatusOnlyView.as_view(), name="status-v2"),
]
