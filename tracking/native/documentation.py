"""What OpenAPI says of startup, poll and preflight check: parameters, bodies, and an example of each answer."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from orchestrator.api import headers
from orchestrator.api.problems import Problem
from tracking.native import cookie, errors, words
from tracking.native.bodies import EVENTS, MOST_ENTRIES, REQUEST, SERVICES
from tracking.native.words import Code

_TAGS = ["startup and poll"]

_NINO = OpenApiParameter(
    "nino",
    {
        "type": "string",
        "pattern": "^(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]$",
        "example": "CS700100A",
    },
    OpenApiParameter.PATH,
    description="A national insurance number; spaces do not count.",
)
_ACCEPT = OpenApiParameter(
    "Accept",
    {"type": "string", "const": words.MEDIA_TYPE},
    OpenApiParameter.HEADER,
    required=True,
    description="Exactly so.",
)
_JOURNEY = OpenApiParameter("journeyId", OpenApiTypes.STR, OpenApiParameter.QUERY, description="Ignored.")
_JOURNEY_GIVEN = OpenApiParameter(
    "journeyId", OpenApiTypes.STR, OpenApiParameter.QUERY, description="Given back; without one a new one is made."
)
_TICKET = {"type": "string", "description": "The ticket of a task: encrypted, and good for 14,400 s after its startup."}
_COOKIE_IF_ANY = OpenApiParameter(
    cookie.NAME, _TICKET, OpenApiParameter.COOKIE, description="The last task's ticket: while it runs, none is started."
)
_COOKIE = OpenApiParameter(
    cookie.NAME,
    _TICKET,
    OpenApiParameter.COOKIE,
    required=True,
    description="The ticket of the task that is asked for.",
)


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """Describe an object that has these properties and no others; one at least."""
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "additionalProperties": False,
        **({"required": list(required)} if required else {"minProperties": 1}),
    }


def _list(item: dict[str, Any], *, description: str) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "maxItems": MOST_ENTRIES, "items": item, "description": description}


_TYPE = {"type": "string", "description": "A message type."}
_ANY = {"description": "What the service is given: any JSON. Absent: {}."}
_NAMED = _object({"name": _TYPE}, {"data": _ANY})
_SERVICES = _list(_NAMED, description="Services.")
_EVENTS = _list(_NAMED, description="Events: carried out like services, and listed apart.")
_STARTUP = {
    "oneOf": [
        _object({REQUEST: _list(_object({"serviceName": _TYPE}, {"postRequest": _ANY}), description="Services.")}),
        _object({}, {SERVICES: _SERVICES, EVENTS: _EVENTS}),
    ]
}
_FEEDBACK = {"email": "visitor@example.com", "message": "The map is wrong"}
_ASK_FIRST = {REQUEST: [{"serviceName": "deskpro-feedback", "postRequest": _FEEDBACK}]}
_ASK_SECOND = {
    SERVICES: [{"name": "deskpro-feedback", "data": _FEEDBACK}],
    EVENTS: [{"name": "Echo", "data": {"opened": "feedback"}}],
}

_RESULT = {"description": "What the service answered, as it is."}
_FIRST_ENTRY = {
    "oneOf": [
        _object({"serviceName": _TYPE, "responseData": _RESULT}),
        _object({"serviceName": _TYPE, "failure": {"const": True}}),
    ]
}
_SECOND_ENTRY = {
    "oneOf": [
        _object({"name": _TYPE, "responseData": _RESULT, "failure": {"const": False}}),
        _object({"name": _TYPE, "failure": {"const": True}, "timeout": {"type": "boolean"}}),
    ]
}


def _status(*codes: Code) -> dict[str, Any]:
    return _object({"code": {"enum": [code.value for code in codes]}})


def _complete(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return _object({"OrchestrationResponse": _object(required, optional), "status": _status(Code.COMPLETE)})


_POLL = {
    "oneOf": [
        _object({"status": {"const": Code.POLL.value}}),
        _complete({"response": _list(_FIRST_ENTRY, description="In the order asked for.")}),
        _complete(
            {},
            {
                "serviceResponse": _list(_SECOND_ENTRY, description="In the order asked for."),
                "eventResponse": _list(_SECOND_ENTRY, description="In the order asked for."),
            },
        ),
        _object({"status": _status(Code.TIMEOUT, Code.ERROR)}),
    ]
}
_COMPLETE = {"code": Code.COMPLETE.value}
_POLLED = {
    "Not finished": {"status": Code.POLL.value},
    "Complete": {
        "OrchestrationResponse": {"response": [{"serviceName": "feedback", "responseData": {"ticket_id": 1234567890}}]},
        "status": _COMPLETE,
    },
    "Complete with a failure": {
        "OrchestrationResponse": {"response": [{"serviceName": "deskpro-feedback", "failure": True}]},
        "status": _COMPLETE,
    },
    "Complete of the second form": {
        "OrchestrationResponse": {
            "serviceResponse": [{"name": "feedback", "responseData": {"ticket_id": 1234567890}, "failure": False}],
            "eventResponse": [{"name": "audit", "failure": True, "timeout": True}],
        },
        "status": _COMPLETE,
    },
    "Too late": {"status": {"code": Code.TIMEOUT.value}},
    "Failed as a whole": {"status": {"code": Code.ERROR.value}},
}
_STARTED = {"status": {"code": Code.POLL.value}}
_PREFLIGHT = {
    "type": "object",
    "required": ["os", "version"],
    "properties": {
        "os": {"type": "string", "minLength": 1},
        "version": {"type": "string", "minLength": 1},
        "journeyId": {"type": ["string", "null"], "description": "In place of the query's."},
    },
}
_ACCOUNTS = _object(
    {"routeToIV": {"const": False}, "routeToTwoFactor": {"const": False}, "journeyId": {"type": "string"}}
)
_PREFLIGHTED = {
    "upgradeRequired": False,
    "accounts": {
        "routeToIV": False,
        "routeToTwoFactor": False,
        "journeyId": "f880d43b-bc44-4a2e-b2f6-5f3f9f3e0f1c",
    },
}


def _refusal(status: int, description: str) -> OpenApiResponse:
    value = errors.body(Problem(status, description))
    return OpenApiResponse(
        {"$ref": f"#/components/schemas/{errors.NAME}"},
        description=description,
        examples=[OpenApiExample(value["code"], value=value)],
    )


def _answer(schema: dict[str, Any], description: str, examples: dict[str, Any]) -> OpenApiResponse:
    shown = [OpenApiExample(name, value=value) for name, value in examples.items()]
    return OpenApiResponse(schema, description=description, examples=shown)


_NOT_ACCEPTABLE = _refusal(406, "Accept is missing, or another")
_THROTTLED = OpenApiResponse(
    _object({"status": _status(Code.THROTTLE)}),
    description="As many tasks and requests of the client are open as may be; see Retry-After",
    examples=[OpenApiExample("Throttled", value=errors.THROTTLE)],
)

startup = extend_schema(
    operation_id="startup",
    summary="Start a task",
    tags=_TAGS,
    parameters=[
        *(_NINO, _ACCEPT, _JOURNEY, _COOKIE_IF_ANY, headers.IDEMPOTENCY_KEY, headers.TRACEPARENT),
        *headers.of_creation(
            200,
            Request_Id="The task's UUID: any other window knows it.",
            Set_Cookie="The task's ticket, `mdtpapi`.",
        ),
    ],
    request={"application/json": _STARTUP},
    responses={
        200: _answer(
            _object({"status": _status(Code.POLL)}),
            "The task is stored, or the cookie's is still running and nothing was started.",
            {"Started": _STARTED},
        ),
        400: _refusal(400, "The NINO or the body is malformed, or a service unknown or not the client's"),
        406: _NOT_ACCEPTABLE,
        409: _refusal(409, "The first call with this Idempotency-Key is still being stored"),
        422: _refusal(422, "This Idempotency-Key was used for another body"),
        429: _THROTTLED,
    },
    examples=[
        OpenApiExample("One service", value=_ASK_FIRST, request_only=True),
        OpenApiExample("Services and events", value=_ASK_SECOND, request_only=True),
    ],
)

poll = extend_schema(
    operation_id="poll",
    summary="How far a task is, and what came of it",
    tags=_TAGS,
    parameters=[
        *(_NINO, _ACCEPT, _JOURNEY, _COOKIE),
        *headers.of_answer(200, Cache_Control="`no-store` until the task is complete."),
    ],
    responses={
        200: _answer(_POLL, "Where the task is.", _POLLED),
        400: _refusal(400, "The NINO is malformed"),
        401: _refusal(401, "The cookie's task is about another NINO"),
        404: _refusal(404, "The cookie is missing or unreadable, or its task unknown or expired"),
        406: _NOT_ACCEPTABLE,
    },
)

preflight = extend_schema(
    operation_id="preflight_check",
    summary="What an app asks before its first startup",
    description="Clears the cookie.",
    tags=_TAGS,
    parameters=[_ACCEPT, _JOURNEY_GIVEN, *headers.of_answer(200, Set_Cookie="Takes `mdtpapi` away.")],
    request={"application/json": _PREFLIGHT},
    responses={
        200: _answer(
            _object({"upgradeRequired": {"const": False}, "accounts": _ACCOUNTS}),
            "Nothing stands in the way.",
            {"Go on": _PREFLIGHTED},
        ),
        400: _refusal(400, "The body is malformed"),
        406: _NOT_ACCEPTABLE,
        429: _THROTTLED,
    },
    examples=[OpenApiExample("An app", value={"os": "ios", "version": "1.0"}, request_only=True)],
)
