"""What load balancers and supervisors ask: `/livez` and `/readyz`.

In: nothing. Out: 200 or 503, with what was found.
"""

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema

from orchestrator import health
from orchestrator.api import problems, rendering
from orchestrator.api.window import WindowView

_NO_STORE = {"Cache-Control": "no-store"}
_ALIVE = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string", "const": "alive"}}}
_WORDS = {
    "status": ["ready", "unready"],
    "database": ["ok", "unreachable"],
    "migrations": ["ok", "unapplied", "unknown"],
    "broker": ["ok", "unreachable"],
}
_READY = {
    "type": "object",
    "required": list(_WORDS),
    "properties": {name: {"type": "string", "enum": words} for name, words in _WORDS.items()},
}

_EXAMPLE_READY = {"status": "ready", "database": "ok", "migrations": "ok", "broker": "ok"}
_EXAMPLE_UNREADY = {"status": "unready", "database": "unreachable", "migrations": "unknown", "broker": "ok"}


class LivezView(WindowView):
    """GET /livez."""

    @extend_schema(
        operation_id="livez",
        tags=["health"],
        summary="Is the process alive?",
        responses={
            200: OpenApiResponse(
                _ALIVE, description="It is", examples=[OpenApiExample("Alive", value={"status": "alive"})]
            )
        },
    )
    def get(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - Django's signature
        """Answer: this process serves requests."""
        return rendering.respond({"status": "alive"}, headers=_NO_STORE)


class ReadyzView(WindowView):
    """GET /readyz."""

    @extend_schema(
        operation_id="readyz",
        tags=["health"],
        summary="Can work be handed in?",
        description="A broker that is away is reported, but work is still accepted: it is carried out when it is back.",
        responses={
            200: OpenApiResponse(
                _READY, description="It can", examples=[OpenApiExample("Ready", value=_EXAMPLE_READY)]
            ),
            503: OpenApiResponse(
                _READY,
                description="It cannot: the database is away, or a migration is missing",
                examples=[OpenApiExample("The database is away", value=_EXAMPLE_UNREADY)],
            ),
        },
    )
    def get(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002
        """Answer whether the database can be reached and has every migration; tell about the broker."""
        found = health.check()
        body = {
            "status": "ready" if found.ready else "unready",
            "database": _word(good=found.database, bad="unreachable"),
            "migrations": _word(good=found.migrations, bad="unapplied" if found.database else "unknown"),
            "broker": _word(good=found.broker, bad="unreachable"),
        }
        if found.ready:
            return rendering.respond(body, headers=_NO_STORE)
        refusal = rendering.respond(body, status=503, headers={"Retry-After": "5", **_NO_STORE})
        problems.keep_quiet(refusal)
        return refusal


def _word(*, good: bool, bad: str) -> str:
    return "ok" if good else bad
