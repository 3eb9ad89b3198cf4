"""The paths of this family."""

from django.urls import URLPattern

from orchestrator.api.routes import route
from tracking.native import views

urlpatterns: list[URLPattern] = [
    route("native-app/<nino>/poll", views.PollView.as_view(), name="poll"),
    route("native-app/preflight-check", views.PreflightView.as_view(), name="preflight-check"),
    route("native-app/<nino>/startup", views.StartupView.as_view(), name="startup"),
]
