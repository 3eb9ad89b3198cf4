"""What OpenAPI says of the Gateway's doors: bodies, answers, refusals, with examples."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from orchestrator.api import headers
from orchestrator.intake import LARGEST_PRIORITY, LONGEST_DEADLINE_SECONDS, DuplicatePolicy
from orchestrator.lifecycle import ErrorPolicy, Status
from tracking.gateway import bodies
from tracking.gateway.search_documentation import EXAMPLE_REQUEST, REQUEST

_TEXT = {"type": "string", "minLength": 1, "maxLength": bodies.LONGEST_TEXT}
_UUID = {"type": "string", "format": "uuid"}


def _message(*, typed_by_path: bool) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["externalReference"] if typed_by_path else ["messageType", "externalReference"],
        "properties": {"messageType": {"type": "string", "minLength": 1}, "externalReference": _TEXT},
        "additionalProperties": True,
        "description": "All other fields are the message's own: its handler gets them as they are written.",
    }


def _submission(*, typed_by_path: bool) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["batchReference", "payload"],
        "properties": {
            "batchReference": _TEXT,
            "errorPolicy": {"enum": [policy.value for policy in ErrorPolicy], "default": ErrorPolicy.HALT.value},
            "duplicatePolicy": {
                "enum": [policy.value for policy in DuplicatePolicy],
                "default": DuplicatePolicy.ACCEPT.value,
            },
            "deadline": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": LONGEST_DEADLINE_SECONDS,
                "description": "Seconds from receipt; what has not begun by then is Cancelled.",
            },
            "priority": {"type": "integer", "minimum": 0, "maximum": LARGEST_PRIORITY, "default": 0},
            "payload": {
                "type": "array",
                "minItems": 1,
                "maxItems": 10_000,
                "items": _message(typed_by_path=typed_by_path),
            },
        },
    }


_ERROR = {
    "type": "object",
    "required": ["errorMessage"],
    "properties": {"errorMessage": {"type": "string"}, "index": {"type": "integer", "minimum": 0}},
}
_ACCEPTED = {
    "type": "object",
    "required": ["data", "errors", "success"],
    "properties": {
        "data": {
            "type": "object",
            "required": ["id", "batchReference", "receivedDate"],
            "properties": {
                "id": _UUID,
                "batchReference": _TEXT,
                "receivedDate": {"type": "string", "format": "date-time"},
                "messages": {
                    "type": "array",
                    "description": "With `Prefer: return=representation`, in payload order.",
                    "items": {
                        "type": "object",
                        "required": ["id", "externalReference", "messageStatus"],
                        "properties": {
                            "id": _UUID,
                            "externalReference": _TEXT,
                            "messageStatus": {
                                "enum": [Status.QUEUED.value, Status.INVALID.value, Status.CANCELLED.value]
                            },
                        },
                    },
                },
            },
        },
        "errors": {"type": "array", "description": "Why messages are Invalid, by their index.", "items": _ERROR},
        "success": {"const": True},
    },
}
_ONE_REQUEST = {
    "type": "object",
    "required": ["data", "errors", "success"],
    "properties": {"data": REQUEST, "errors": {"type": "array", "maxItems": 0}, "success": {"const": True}},
}

_FEEDBACK = {"externalReference": "feedback-1", "email": "visitor@example.com", "message": "The map is wrong"}
_EXAMPLE_BODY = {
    "batchReference": "ABC12345",
    "errorPolicy": ErrorPolicy.PROCEED.value,
    "payload": [
        {"messageType": "deskpro-feedback", **_FEEDBACK},
        {"messageType": "Opportunity", "externalReference": "oppref-ABC12345", "value": 125.50},
    ],
}
_EXAMPLE_ANSWER = {
    "data": {
        "id": EXAMPLE_REQUEST["id"],
        "batchReference": "ABC12345",
        "receivedDate": EXAMPLE_REQUEST["receivedDate"],
    },
    "errors": [],
    "success": True,
}
_EXAMPLE_ANSWER_WITH_INVALID = {
    **_EXAMPLE_ANSWER,
    "errors": [{"errorMessage": 'title: value is not of type "string"', "index": 1}],
}
_EXAMPLE_READ = {"data": EXAMPLE_REQUEST, "errors": [], "success": True}

_PREFER = OpenApiParameter(
    "Prefer",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="`return=representation`: the answer also lists the messages.",
)
_PREFER_LOOKING = OpenApiParameter(
    "Prefer",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="`return=minimal`: the answer has no `payload`. `wait=N`: it comes when the request is over, with"
    " `If-None-Match` when it is another one, or after N seconds; `Preference-Applied` tells the N that was granted.",
)
_PREFER_MINIMAL = OpenApiParameter(
    "Prefer",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="`return=minimal`: the answer has no `payload`.",
)
_HEADERS = [
    _PREFER,
    headers.IDEMPOTENCY_KEY,
    headers.TRACEPARENT,
]
_SENT_BACK = headers.of_creation(
    200, 202, Request_Id="The request's UUID.", Location="Where the request can be looked at."
)
_ID = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="The Request-Id.")


def _refusal(text: str, *, field: str | None = None, index: int | None = None) -> OpenApiResponse:
    error = {"errorMessage": text, "field": field, "index": index}
    shown = {name: value for name, value in error.items() if value is not None}
    return OpenApiResponse(
        {"$ref": "#/components/schemas/GatewayError"},
        description=text,
        examples=[OpenApiExample(text, value={"data": None, "errors": [shown], "success": False})],
    )


_IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", OpenApiTypes.STR, OpenApiParameter.HEADER, description="Tags of answers that the client has."
)
_ETAG = OpenApiParameter(
    "ETag",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    response=[200, 304],
    description="Another one exactly when the answer's body is another one.",
)
_APPLIED = OpenApiParameter(
    "Preference-Applied",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    response=[200, 304],
    description="What was granted of `Prefer`.",
)
_EVENT = {  # `id`: what Last-Event-ID takes; `data`: JSON
    "type": "object",
    "properties": {"id": {"type": "string"}, "event": {"enum": ["progress", "outcome"]}, "data": {"type": "string"}},
}
_EXAMPLE_EVENT = {"id": "0.0", "event": "outcome", "data": '{"id": "…", "messageStatus": "Complete", …}'}
_UNKNOWN = _refusal("You have no request of this id")
_REFUSALS = {
    400: _refusal("externalReference is missing", field="externalReference", index=0),
    403: _refusal("The message type 'Nowhere' does not exist or is not yours", field="messageType", index=0),
    409: _refusal("The first request with this Idempotency-Key is still being stored."),
    422: _refusal("This Idempotency-Key was used for another body.", field="Idempotency-Key"),
    429: _refusal("You have as many open requests as you may have."),
}


def _accepted(description: str) -> OpenApiResponse:
    return OpenApiResponse(
        _ACCEPTED,
        description=description,
        examples=[
            OpenApiExample("All are queued", value=_EXAMPLE_ANSWER),
            OpenApiExample("The second message is Invalid", value=_EXAMPLE_ANSWER_WITH_INVALID),
        ],
    )


_STORED = "Stored, and about to be carried out."

submit = extend_schema(
    operation_id="submit_request",
    summary="Hand in messages",
    tags=["requests"],
    parameters=[*_HEADERS, *_SENT_BACK],
    request={"application/json": _submission(typed_by_path=False)},
    responses={202: _accepted(_STORED), **_REFUSALS},
    examples=[OpenApiExample("Two messages", value=_EXAMPLE_BODY, request_only=True)],
)

submit_of_type = extend_schema(
    operation_id="submit_messages",
    summary="Hand in messages of one type",
    tags=["requests"],
    parameters=[
        OpenApiParameter("messageType", OpenApiTypes.STR, OpenApiParameter.PATH, description="Of every message."),
        *_HEADERS,
        *_SENT_BACK,
    ],
    request={"application/json": _submission(typed_by_path=True)},
    responses={200: _accepted(_STORED), **_REFUSALS},
    examples=[
        OpenApiExample("Feedback", value={"batchReference": "ABC12345", "payload": [_FEEDBACK]}, request_only=True)
    ],
)

read = extend_schema(
    operation_id="read_request",
    summary="Look at a request",
    tags=["requests"],
    parameters=[_ID, _PREFER_LOOKING, _IF_NONE_MATCH, _ETAG, _APPLIED],
    responses={
        200: OpenApiResponse(
            _ONE_REQUEST,
            description="The request as in tracking, with all its messages.",
            examples=[OpenApiExample("A finished request", value=_EXAMPLE_READ)],
        ),
        304: OpenApiResponse(description="It is still what a tag of `If-None-Match` stands for."),
        404: _UNKNOWN,
    },
)

stream = extend_schema(
    operation_id="stream_request",
    summary="Follow a request as it is carried out",
    description="Server-Sent Events: `progress` has the request as `return=minimal` shows it, first and whenever it is"
    " another one; `outcome` has one final message, with its `id`, and its `result` if it has one. The stream ends"
    " after the last event; whoever comes again with that event's id is answered 204.",
    tags=["requests"],
    parameters=[
        _ID,
        OpenApiParameter(
            "Last-Event-ID",
            OpenApiTypes.STR,
            OpenApiParameter.HEADER,
            description="The id of the last event that the client has: only what came after it is told.",
        ),
    ],
    responses={
        (200, "text/event-stream"): OpenApiResponse(
            _EVENT,
            description="Events, as they come; comments while there are none. This describes one of them.",
            examples=[OpenApiExample("A message's outcome", value=_EXAMPLE_EVENT)],
        ),
        204: OpenApiResponse(description="There is nothing more to come."),
        400: _refusal("Last-Event-ID is not the id of an event of this request", field="Last-Event-ID"),
        404: _UNKNOWN,
        406: _refusal("This is answered as text/event-stream only"),
    },
)

cancel = extend_schema(
    operation_id="cancel_request",
    summary="Cancel what has not begun",
    tags=["requests"],
    parameters=[_ID, _PREFER_MINIMAL],
    request=None,
    responses={
        200: OpenApiResponse(
            _ONE_REQUEST,
            description="The request as it is now; calls under way finish.",
            examples=[OpenApiExample("A cancelled request", value=_EXAMPLE_READ)],
        ),
        404: _UNKNOWN,
        409: _refusal("The request has no open message that could be cancelled."),
    },
)
