"""The engine's own paths: tokens, health, schema."""

from orchestrator.api import docs, health, metrics, token
from orchestrator.api.routes import route

urlpatterns = [
    route("oauth/token", token.TokenView.as_view(), name="token"),
    route("livez", health.LivezView.as_view(), name="livez"),
    route("readyz", health.ReadyzView.as_view(), name="readyz"),
    route("metrics", metrics.MetricsView.as_view(), name="metrics"),
    route("metrics/lanes", metrics.LanesView.as_view(), name="lanes"),
    route("metrics/lanes/<lane>", metrics.LaneView.as_view(), name="lane"),
    route("api/schema", docs.SchemaView.as_view(), name="schema"),
    route("api/docs", docs.SwaggerView.as_view(), name="docs"),
    route("api/redoc", docs.RedocView.as_view(), name="redoc"),
]
