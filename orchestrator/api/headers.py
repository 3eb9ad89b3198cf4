"""The headers of every POST that creates, as OpenAPI describes them. Called by the families' documentation."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
    OpenApiParameter.HEADER,
    description="The same key with the same JSON value is answered as the first time, for 24 hours.",
)
TRACEPARENT = OpenApiParameter(
    "traceparent", OpenApiTypes.STR, OpenApiParameter.HEADER, description="W3C Trace Context, handed on."
)


def of_answer(*statuses: int, **described: str) -> list[OpenApiParameter]:
    """Describe what the answers of these statuses carry: `Request_Id="..."`."""
    return [
        OpenApiParameter(
            name.replace("_", "-"),
            OpenApiTypes.UUID if name == "Request_Id" else OpenApiTypes.STR,
            OpenApiParameter.HEADER,
            response=[*statuses],
            description=text,
        )
        for name, text in described.items()
    ]


def of_creation(*statuses: int, **described: str) -> list[OpenApiParameter]:
    """Describe the same of a POST that creates: a repeated answer says so."""
    return of_answer(*statuses, **described, Idempotent_Replayed="`true` on the repeated answer to an idempotency key.")
