"""What OpenAPI says of the tracking search: the body, the answer, and the documents' own examples, mended."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema

from orchestrator.lifecycle import Status
from tracking.gateway import criteria, words

_TEXT = {"type": "string"}
_DAY_OR_MOMENT = {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}
_PAGE = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": 10**15 - 1},
        {"type": "string", "maxLength": 15, "pattern": "^0*[1-9][0-9]*$"},
    ]
}
_SIZE = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": criteria.LARGEST_PAGE},
        {"type": "string", "maxLength": 15, "pattern": "^0*([1-9][0-9]{0,2}|1000)$"},
    ]
}


def _criterion(*by: str, value: dict[str, Any], most: int | None = None) -> dict[str, Any]:
    values = {"type": "array", "items": value, "minItems": 1} | ({"maxItems": most} if most else {})
    return {
        "type": "object",
        "required": ["by", "value"],
        "properties": {"by": {"enum": by}, "value": {"anyOf": [value, values]}},
    }


_CRITERION = {
    "oneOf": [
        _criterion("messageType", "id", "externalReference", value=_TEXT),
        _criterion("messageStatus", value={"enum": list(words.STATUSES)}),
        _criterion("receivedDate", "recievedDate", value=_DAY_OR_MOMENT, most=2),
    ],
    "description": "Criteria are met all at once; of the values of one criterion, any.",
}
_SORT = {
    "type": "object",
    "properties": {
        "by": {"enum": [*criteria.SortKey, "recievedDate"], "default": "receivedDate"},
        "order": {"enum": ["asc", "ascending", "desc", "descending"]},
    },
}
_SEARCH = {
    "type": "object",
    "properties": {
        "search": {
            "type": "array",
            "items": _CRITERION,
            "maxItems": criteria.MOST_CRITERIA,
            "description": "Without receivedDate, id and externalReference: received today (UTC).",
        },
        "paging": {
            "type": "object",
            "required": ["number", "size"],
            "properties": {"number": _PAGE, "size": _SIZE},
            "description": "Counted from 1, at most 1000 requests a page. Without it: everything, streamed.",
        },
        "sorts": {
            "anyOf": [{"type": "array", "items": _SORT, "maxItems": criteria.MOST_CRITERIA}, _SORT],
            "description": "Default: receivedDate, descending. Requests without the sort's value stand last.",
        },
    },
}

_DATE = {"type": "string", "format": "date-time"}
_UUID = {"type": "string", "format": "uuid"}
_COUNT = {"type": "integer", "minimum": 0}
_STATUS = {"enum": [status.value for status in Status]}
_MESSAGE = {
    "type": "object",
    "required": ["externalReference", "messageStatus", "messageType", "processedTime"],
    "description": "The message's id stands under a key named after its type: `opportunityId`, `deskproFeedbackId`.",
    "properties": {
        "externalReference": {"type": ["string", "null"]},
        "messageStatus": _STATUS,
        "messageType": {"type": "string"},
        "processedTime": {"type": ["string", "null"], "format": "date-time", "description": "Null until it is final."},
        "errors": {
            "type": "array",
            "description": "Absent when there are none.",
            "items": {
                "type": "object",
                "required": ["errorMessage"],
                "properties": {"errorMessage": {"type": "string"}},
            },
        },
    },
    "patternProperties": {"Id$": _UUID},
}
_SUMMARY_KEYS = ["total", "queued", "processing", "cancelled", "failed", "invalid", "complete"]
_REQUEST_PROPERTIES: dict[str, Any] = {
    "feedId": _UUID,
    "clientName": {"type": "string"},
    "id": _UUID,
    "batchReference": {"type": ["string", "null"]},
    "receivedDate": _DATE,
    "requestStatus": {"enum": [Status.QUEUED, Status.PROCESSING, Status.COMPLETE, Status.CANCELLED]},
    "messageStatusSummary": {
        "type": "object",
        "required": _SUMMARY_KEYS,
        "properties": dict.fromkeys(_SUMMARY_KEYS, _COUNT),
    },
    "payload": {"type": "array", "items": _MESSAGE},
}
REQUEST = {"type": "object", "required": list(_REQUEST_PROPERTIES), "properties": _REQUEST_PROPERTIES}
"""One request in the answers of this family. Without `payload` where a caller prefers return=minimal."""

_ANSWER = {
    "type": "object",
    "required": ["data", "errors", "success"],
    "properties": {
        "data": {
            "type": "object",
            "required": ["search", "requests"],
            "properties": {
                "search": {"type": "array", "items": _CRITERION, "description": "As it was sent."},
                "requests": {"type": "array", "items": REQUEST},
            },
        },
        "errors": {"type": "array", "maxItems": 0},
        "success": {"const": True},
    },
}

_EXAMPLE_SEARCH = [
    {"by": "messageType", "value": "Opportunity"},
    {"by": "messageStatus", "value": "Failed"},
    {"by": "receivedDate", "value": ["2018-10-01T00:00:00+00:00", "2018-10-03T00:00:00+00:00"]},
]
EXAMPLE_REQUEST = {
    "feedId": "5e0d37a4-6a0d-4dd6-9e9c-4a4a6f6f7a11",
    "clientName": "Demo",
    "id": "99662e72-0fcb-4455-afc3-68fadb22646f",
    "batchReference": "ABC12345",
    "receivedDate": "2018-10-01T08:38:14+00:00",
    "requestStatus": Status.COMPLETE.value,
    "messageStatusSummary": {
        "total": 5,
        "queued": 0,
        "processing": 0,
        "cancelled": 0,
        "failed": 1,
        "invalid": 0,
        "complete": 4,
    },
    "payload": [
        {
            words.id_key("Opportunity"): "99882e72-0fcb-4455-afc3-68fadb22646f",
            "externalReference": "oppref-ABC12345",
            "messageStatus": Status.FAILED.value,
            "messageType": "Opportunity",
            "processedTime": "2018-12-25T08:38:14+00:00",
            "errors": [{"errorMessage": "Unable to process"}],
        }
    ],
}
_EXAMPLES = [
    OpenApiExample(
        "By id, ten to a page, oldest first",
        value={
            "search": [{"by": "id", "value": ["78452e72-0fcb-4455-afc3-68fadb22646f"]}],
            "paging": {"number": "1", "size": "10"},
            "sorts": [{"by": "receivedDate", "order": "asc"}],
        },
        request_only=True,
    ),
    OpenApiExample(
        "By type, one of two statuses, and a period",
        value={
            "search": [
                {"by": "messageType", "value": ["Estimate"]},
                {"by": "messageStatus", "value": ["Failed", "Complete"]},
                {"by": "recievedDate", "value": ["2018-10-01T00:00:00+00:00", "2018-10-02T00:00:00+00:00"]},
            ]
        },
        request_only=True,
    ),
    OpenApiExample(
        "Failed Opportunity messages of three days",
        value={
            "data": {"search": _EXAMPLE_SEARCH, "requests": [EXAMPLE_REQUEST]},
            "errors": [],
            "success": True,
        },
        response_only=True,
        status_codes=["200"],
    ),
    OpenApiExample(
        "A status that is none",
        value={
            "data": None,
            "errors": [
                {
                    "errorMessage": f"messageStatus: 'Done' is not one of {', '.join(words.STATUSES)}",
                    "field": "messageStatus",
                    "index": 1,
                }
            ],
            "success": False,
        },
        response_only=True,
        status_codes=["400"],
    ),
]

search = extend_schema(
    operation_id="tracking_search",
    summary="Find requests by their messages",
    tags=["tracking"],
    request={"application/json": _SEARCH},
    responses={
        200: OpenApiResponse(_ANSWER, description="The requests found, each with its matching messages."),
        400: OpenApiResponse(
            {"$ref": "#/components/schemas/GatewayError"}, description="The search can't be understood."
        ),
    },
    examples=_EXAMPLES,
)
