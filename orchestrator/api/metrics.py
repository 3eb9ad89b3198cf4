"""What Prometheus and autoscalers ask: `/metrics`, and the backlog of lanes as JSON.

In: nothing but, where WAYBILL_METRICS_TOKEN is set, that token. Out: figures; no secret and no payload, but the names
of message types and lanes.
"""

import hmac
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from prometheus_client import exposition as prometheus

from orchestrator import exposition
from orchestrator.api import problems, rendering
from orchestrator.api.window import WindowView
from orchestrator.board import LaneNow

_NO_STORE = {"Cache-Control": "no-store"}
_TAGS = ["health"]
_LANE = {
    "type": "object",
    "required": ["lane", "backlog", "claimable", "oldestSeconds", "processing", "retrying", "paused"],
    "properties": {
        "lane": {"type": "string"},
        "backlog": {"type": "integer", "description": "messages that wait and could be claimed now"},
        "claimable": {"type": "integer", "description": "the same, but 0 while the lane is paused: for scaling"},
        "oldestSeconds": {"type": "number", "description": "the longest wait among the next in line"},
        "processing": {"type": "integer"},
        "retrying": {"type": "integer", "description": "messages that wait for their next try"},
        "paused": {"type": "boolean"},
    },
}
_LANES = {
    "type": "object",
    "required": ["backlog", "claimable", "lanes"],
    "properties": {
        "backlog": {"type": "integer", "description": "of all lanes together"},
        "claimable": {"type": "integer", "description": "of all lanes that are not paused"},
        "lanes": {"type": "array", "items": _LANE},
    },
}
_ERROR = {"$ref": "#/components/schemas/GatewayError"}
_NO_LANE = "There is no such lane: no message has ever waited in it"
_UNKNOWN_LANE = {"data": None, "errors": [{"errorMessage": _NO_LANE}], "success": False}
_TEXT = """# HELP waybill_up Whether the ledger answered
# TYPE waybill_up gauge
waybill_up 1.0
"""
_EXAMPLE = {
    "lane": "Echo",
    "backlog": 1200,
    "claimable": 1200,
    "oldestSeconds": 3.5,
    "processing": 500,
    "retrying": 2,
    "paused": False,
}


class _MetricsView(WindowView):
    """A path that WAYBILL_METRICS_TOKEN guards, where it is set."""

    def admit(self, request: HttpRequest, **path: str) -> None:  # noqa: ARG002 - the same for every path
        """Compare the token, in constant time; raise a `Problem` 401."""
        token = settings.WAYBILL_METRICS_TOKEN
        given = request.META.get("HTTP_AUTHORIZATION", "")
        if token and not hmac.compare_digest(f"Bearer {token}".encode(), given.encode()):
            text = "The token of the metrics is needed for this"
            raise problems.Problem(401, text, headers={"WWW-Authenticate": 'Bearer realm="waybill metrics"'})


class MetricsView(_MetricsView):
    """GET /metrics."""

    @extend_schema(
        operation_id="metrics",
        tags=_TAGS,
        summary="Metrics for Prometheus",
        description="Text format or OpenMetrics, as `Accept` asks. See docs/metrics.md.",
        responses={
            (200, "text/plain"): OpenApiResponse(
                {"type": "string"}, description="The metrics", examples=[OpenApiExample("One metric", value=_TEXT)]
            )
        },
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer with every metric; the ledger's are at most a second old."""
        encode, content_type = prometheus.choose_encoder(request.headers.get("Accept", ""))
        return HttpResponse(encode(exposition.registry), content_type=content_type, headers=_NO_STORE)


class LanesView(_MetricsView):
    """GET /metrics/lanes."""

    @extend_schema(
        operation_id="lanes_backlog",
        tags=_TAGS,
        summary="The backlog of every lane",
        description="For autoscalers: KEDA's `metrics-api` reads `claimable` by `valueLocation`.",
        responses={
            200: OpenApiResponse(
                _LANES,
                description="The lanes by name",
                examples=[OpenApiExample("One lane", value={"backlog": 1200, "claimable": 1200, "lanes": [_EXAMPLE]})],
            )
        },
    )
    def get(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002
        """Answer with all lanes and their sum."""
        lanes = [_show(lane) for lane in _read()]
        body = {name: sum(lane[name] for lane in lanes) for name in ("backlog", "claimable")}
        return rendering.respond({**body, "lanes": lanes}, headers=_NO_STORE)


class LaneView(_MetricsView):
    """GET /metrics/lanes/{lane}."""

    @extend_schema(
        operation_id="lane_backlog",
        tags=_TAGS,
        summary="The backlog of one lane",
        parameters=[OpenApiParameter("lane", str, OpenApiParameter.PATH, description="its name")],
        responses={
            200: OpenApiResponse(_LANE, description="The lane", examples=[OpenApiExample("A lane", value=_EXAMPLE)]),
            404: OpenApiResponse(
                _ERROR,
                description="There is no lane of that name",
                examples=[OpenApiExample("An unknown lane", value=_UNKNOWN_LANE)],
            ),
        },
    )
    def get(self, request: HttpRequest, lane: str) -> HttpResponse:  # noqa: ARG002
        """Answer with the lane of that name."""
        for known in _read():
            if known.name == lane:
                return rendering.respond(_show(known), headers=_NO_STORE)
        raise problems.Problem(404, _NO_LANE)


def _read() -> list[LaneNow]:
    ledger = exposition.read_ledger()
    if not ledger.up:
        raise problems.Problem(503, "The service is unavailable at present, please try again")
    return list(ledger.lanes)


def _show(lane: LaneNow) -> dict[str, Any]:
    backlog = lane.queued.number
    return {
        "lane": lane.name,
        "backlog": backlog,
        "claimable": 0 if lane.paused else backlog,
        "oldestSeconds": round(lane.oldest or 0.0, 3),
        "processing": lane.processing,
        "retrying": lane.retrying.number,
        "paused": lane.paused,
    }
