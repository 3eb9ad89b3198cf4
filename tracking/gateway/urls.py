"""The paths of this family."""

from django.urls import URLPattern

from orchestrator.api.routes import route
from tracking.gateway import search_view, stream_view, views

urlpatterns: list[URLPattern] = [
    route("api/v1/requests", views.RequestsView.as_view(), name="requests"),
    route("api/v1/requests/<id>", views.RequestView.as_view(), name="request"),
    route("api/v1/requests/<id>/stream", stream_view.StreamView.as_view(), name="stream"),
    route("api/v1/requests/<id>/cancel", views.CancelView.as_view(), name="cancel"),
    route("api/v1/messages/<messageType>", views.MessagesView.as_view(), name="messages"),
    route("api/v1/tracking", search_view.TrackingView.as_view(), name="tracking"),
]
