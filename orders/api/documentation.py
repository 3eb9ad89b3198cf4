"""What OpenAPI says of orders, order events and accesses: bodies, answers, refusals, with examples."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from orchestrator.api import headers
from orders.api import answers, bodies, errors
from orders.models import Operation, State

_TEXT = {"type": "string", "minLength": 1, "maxLength": bodies.LONGEST_TEXT}
_ANY_TEXT = {"type": "string"}
_ACCESS_ID = {"type": "string", "minLength": 1, "maxLength": bodies.LONGEST_ACCESS_ID, "pattern": "^[a-zA-Z0-9]+$"}
_OPERATION = {"enum": Operation.values}
_UUID = {"type": "string", "format": "uuid"}

_WISH = {
    "type": "object",
    "required": ["accessId", "service", "operation"],
    "properties": {
        "accessId": _ACCESS_ID,
        "service": _TEXT,
        "operation": _OPERATION,
        "forcedTakeover": {"type": "boolean", "description": "Mandatory for ACTIVATE, refused with DEACTIVATE."},
        "equipment": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["vendorId", "macAddress"],
                "properties": {"vendorId": _TEXT, "macAddress": _TEXT},
            },
        },
        "spReference": {"type": "string", "maxLength": bodies.LONGEST_TEXT},
    },
    "oneOf": [
        {"properties": {"operation": {"const": Operation.ACTIVATE.value}}, "required": ["forcedTakeover"]},
        {
            "properties": {"operation": {"const": Operation.DEACTIVATE.value}},
            "not": {"required": ["forcedTakeover"]},
        },
    ],
    "additionalProperties": True,
    "description": "Any other fields are handed on to the network as they are.",
}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _order(*states: State) -> dict[str, Any]:
    return _object(
        path=_ANY_TEXT,
        accessId=_ACCESS_ID,
        service=_TEXT,
        operation=_OPERATION,
        state={"enum": [state.value for state in states]},
        message={"type": "string", "description": "Says something when the state is DONE_FAILED."},
    )


_FULFILLED = _object(
    accessId=_ACCESS_ID,
    service=_TEXT,
    operation=_OPERATION,
    state={"const": State.DONE_SUCCESS.value},
    message={"const": ""},
)
_EVENT = _object(event=_UUID, order=_order(State.DONE_SUCCESS, State.DONE_FAILED))
_ACCESS = _object(
    accessId=_ACCESS_ID,
    services={
        "type": "array",
        "items": _object(
            service=_TEXT,
            serviceType=_TEXT,
            active={"type": "boolean", "description": "Active for you or for another provider."},
        ),
    },
)

_EXAMPLE_WISH = {
    "accessId": "STTA0001",
    "service": "BB-100-10",
    "operation": Operation.ACTIVATE.value,
    "forcedTakeover": False,
    "equipment": [{"vendorId": "0013C3", "macAddress": "00:13:C3:0A:1B:2C"}],
    "spReference": "customer 4711",
}
_EXAMPLE_ORDER = {
    "path": f"{answers.ORDER_PATH}ec4bc754-6a30-11e2-a585-4fc569183061",
    "accessId": "STTA0001",
    "service": "BB-100-10",
    "operation": Operation.ACTIVATE.value,
    "state": State.RECEIVED.value,
    "message": "",
}
_EXAMPLE_FULFILLED = {name: value for name, value in _EXAMPLE_ORDER.items() if name != "path"} | {
    "state": State.DONE_SUCCESS.value
}
_EXAMPLE_FAILED = _EXAMPLE_ORDER | {
    "state": State.DONE_FAILED.value,
    "message": "Port is too busy for you. You can't handle the truth!",
}
_EXAMPLE_EVENTS = [
    {
        "event": "2a6d6432-e59d-11e3-9a52-3c970e806452",
        "order": _EXAMPLE_ORDER | {"operation": Operation.DEACTIVATE.value, "state": State.DONE_SUCCESS.value},
    },
    {"event": "251825a8-e59d-11e3-bf71-3c970e806452", "order": _EXAMPLE_FAILED},
]
_EXAMPLE_ACCESSES = [
    {"accessId": "STTA0001", "services": [{"service": "BB-100-10", "serviceType": "BB", "active": False}]}
]

_ID = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="The order's id: its Request-Id.")
_HEADERS = [
    headers.IDEMPOTENCY_KEY,
    headers.TRACEPARENT,
    *headers.of_creation(
        200,
        201,
        Request_Id="The order's id.",
        Location="Where the order can be looked at.",
        Last_Modified="When the order last changed.",
    ),
]
_LAST_MODIFIED = OpenApiParameter(
    "Last-Modified",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    response=[200],
    description="When the order last changed.",
)


def _refusal(*causes: str) -> OpenApiResponse:
    return OpenApiResponse(
        {"$ref": f"#/components/schemas/{errors.NAME}"},
        description=causes[0],
        examples=[OpenApiExample(cause, value={"cause": cause}) for cause in causes],
    )


def _answer(schema: dict[str, Any], description: str, **examples: Any) -> OpenApiResponse:
    shown = [OpenApiExample(name.replace("_", " ").capitalize(), value=value) for name, value in examples.items()]
    return OpenApiResponse(schema, description=description, examples=shown)


place = extend_schema(
    operation_id="place_order",
    summary="Place an order",
    tags=["orders"],
    parameters=_HEADERS,
    request={"application/json": _WISH},
    responses={
        200: _answer(
            {"anyOf": [_order(State.RECEIVED), _FULFILLED]},
            "An order of yours for it is still under way, or everything is as wished already: nothing was stored.",
            under_way=_EXAMPLE_ORDER,
            as_wished=_EXAMPLE_FULFILLED,
        ),
        201: _answer(_order(State.RECEIVED), "Accepted: ask for its events.", accepted=_EXAMPLE_ORDER),
        400: _refusal(
            "Unknown service: 'BB-100-10'",
            "Unknown accessId: 'STTA0001'",
            "Another Service of ServiceType 'BB' is already active.",
            "Service 'BB-100-10' is active for another provider.",
            "The order is malformed: forcedTakeover is missing",
        ),
        409: _refusal("The first request with this Idempotency-Key is still being stored."),
        422: _refusal("This Idempotency-Key was used for another body."),
        429: _refusal("You have as many open requests as you may have."),
    },
    examples=[OpenApiExample("Activate broadband", value=_EXAMPLE_WISH, request_only=True)],
)

read = extend_schema(
    operation_id="read_order",
    summary="Look at an order",
    tags=["orders"],
    parameters=[_ID, _LAST_MODIFIED],
    responses={
        200: _answer(
            _order(*State),
            "The order as it is now; a final state never changes.",
            under_way=_EXAMPLE_ORDER,
            failed=_EXAMPLE_FAILED,
        ),
        404: _refusal("You have no order of this id"),
    },
)

events = extend_schema(
    operation_id="order_events",
    summary="All order events, or those after one",
    tags=["orders"],
    parameters=[
        OpenApiParameter("since", OpenApiTypes.UUID, description="The event that you read last; it is not included.")
    ],
    responses={
        200: _answer(
            {"type": "array", "items": _EVENT},
            "Oldest first. A later answer always begins with the whole of an earlier one.",
            events=_EXAMPLE_EVENTS,
        ),
        400: _refusal("since: you have no event of this id"),
    },
)

accesses = extend_schema(
    operation_id="accesses",
    summary="The accesses, and the services that can be ordered on them",
    tags=["orders"],
    responses={200: _answer({"type": "array", "items": _ACCESS}, "In the order of their ids.", one=_EXAMPLE_ACCESSES)},
)
