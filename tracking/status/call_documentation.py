"""What OpenAPI says of the regular and the bulk call: bodies, answers, refusals, with examples."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from orchestrator.api import headers
from orchestrator.api.problems import Problem
from tracking.status import bodies, errors
from tracking.status.documentation import NAK, PAGEABLE

_UUID = {"type": "string", "format": "uuid"}
_EMPTY = {"const": ""}
_ANYTHING: dict[str, Any] = {"description": "Echoed as it came; null where there was none."}
_FIELDS = {
    "type": "object",
    "additionalProperties": True,
    "description": "The message's own fields: its handler gets them as they are written.",
}
_BULK = {
    "type": "object",
    "required": ["bulk"],
    "properties": {
        "bulk": {
            "type": "array",
            "minItems": 1,
            "maxItems": bodies.MOST_NODES,
            "items": {
                "type": "object",
                "required": ["content"],
                "properties": {
                    "subscriberIdentifiers": {"description": "Any JSON: the answer repeats it."},
                    "content": _FIELDS,
                },
            },
        }
    },
}
_CALLED = {
    "type": "object",
    "required": ["errorCode", "errorMessage", "content", "pageable"],
    "properties": {
        "errorCode": _EMPTY,
        "errorMessage": _EMPTY,
        "content": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {"type": "object", "required": ["requestId"], "properties": {"requestId": _UUID}},
        },
        "pageable": PAGEABLE,
    },
}


def _nodes(*, error_code: dict[str, Any], error_message: dict[str, Any], request_id: dict[str, Any]) -> dict[str, Any]:
    properties = {
        "errorCode": error_code,
        "errorMessage": error_message,
        "requestId": request_id,
        "subscriberIdentifiers": _ANYTHING,
        "content": _ANYTHING,
    }
    node = {"type": "object", "required": list(properties), "properties": properties}
    return {"type": "array", "minItems": 1, "maxItems": bodies.MOST_NODES, "items": node}


_BULK_CALLED = {
    "type": "object",
    "required": ["bulk", "pageable"],
    "properties": {
        "bulk": _nodes(error_code=_EMPTY, error_message=_EMPTY, request_id=_UUID),
        "pageable": PAGEABLE,
    },
}
_BULK_REFUSED = {
    "type": "object",
    "required": ["bulk", "pageable"],
    "properties": {
        "bulk": _nodes(
            error_code={"const": errors.REFUSED},
            error_message={"type": "string", "minLength": 1},
            request_id=_EMPTY,
        ),
        "pageable": {"type": "null"},
    },
}

_ID = "77022d89-8a5b-4ecb-a118-334c7ccb3779"
_CONTENT = {"email": "visitor@example.com", "message": "The map is wrong"}
_NODE = {"subscriberIdentifiers": {"msisdn": "46700000000"}, "content": _CONTENT}
_PAGE_OF_ONE = {"page": 0, "size": 1, "totalPages": 1, "totalElements": 1}
_EXAMPLE_CALLED = {
    "errorCode": "",
    "errorMessage": "",
    "content": [{"requestId": _ID}],
    "pageable": _PAGE_OF_ONE | {"size": 10},
}
_EXAMPLE_BULK_CALLED = {
    "bulk": [{"errorCode": "", "errorMessage": "", "requestId": _ID, **_NODE}],
    "pageable": _PAGE_OF_ONE,
}
_EXAMPLE_BULK_REFUSED = {
    "bulk": [
        {
            "errorCode": errors.REFUSED,
            "errorMessage": "content must be a JSON object: the message's fields",
            "requestId": "",
            "subscriberIdentifiers": {"msisdn": "46700000001"},
            "content": None,
        }
    ],
    "pageable": None,
}
_PARAMETERS = [
    OpenApiParameter("messageType", OpenApiTypes.STR, OpenApiParameter.PATH, description="Of every message."),
    headers.IDEMPOTENCY_KEY,
    headers.TRACEPARENT,
    *headers.of_creation(200, Request_Id="The UUID that stands for the whole."),
]


def _refusal(status: int, text: str) -> OpenApiResponse:
    example = OpenApiExample(text, value=errors.body(Problem(status, text)))
    return OpenApiResponse(NAK, description=text, examples=[example])


_REFUSALS = {
    403: _refusal(403, "The message type does not exist or is not yours."),
    409: _refusal(409, "The first request with this Idempotency-Key is still being stored."),
    422: _refusal(422, "This Idempotency-Key was used for another body."),
    429: _refusal(429, "You have as many open requests as you may have."),
}

call = extend_schema(
    operation_id="call",
    summary="Hand in one message",
    tags=["request status"],
    parameters=_PARAMETERS,
    request={"application/json": _FIELDS},
    responses={
        200: OpenApiResponse(
            _CALLED,
            description="ACK: the message is stored, and has the request's id.",
            examples=[OpenApiExample("ACK", value=_EXAMPLE_CALLED)],
        ),
        400: _refusal(400, 'title: value is not of type "string"'),
        **_REFUSALS,
    },
    examples=[OpenApiExample("Feedback", value=_CONTENT, request_only=True)],
)

bulk = extend_schema(
    operation_id="bulk",
    summary="Hand in messages of one type, all or none",
    tags=["request status"],
    parameters=_PARAMETERS,
    request={"application/json": _BULK},
    responses={
        200: OpenApiResponse(
            _BULK_CALLED,
            description="ACK: all nodes are stored, each with its own id; they run independently.",
            examples=[OpenApiExample("ACK", value=_EXAMPLE_BULK_CALLED)],
        ),
        400: OpenApiResponse(
            {"oneOf": [_BULK_REFUSED, NAK]},
            description="NAK: nothing is stored. Lists the nodes that failed, or says what is wrong with the whole.",
            examples=[
                OpenApiExample("A node that failed", value=_EXAMPLE_BULK_REFUSED),
                OpenApiExample(
                    "Too many nodes",
                    value=errors.body(Problem(400, f"A bulk may hold {bodies.MOST_NODES} nodes at most, not 201")),
                ),
            ],
        ),
        **_REFUSALS,
    },
    examples=[OpenApiExample("A bulk of one", value={"bulk": [_NODE]}, request_only=True)],
)
