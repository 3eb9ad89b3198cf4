"""What OpenAPI says of the request status window: parameters, bodies, and an example of each answer."""

from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from orchestrator.api.problems import Problem
from tracking.status import errors, parameters, words

_View = TypeVar("_View", bound=Callable[..., Any])

_COUNT = {"type": "integer", "minimum": 0}
_STATUS = {"enum": [words.OPEN, words.SUCCESS, words.FAILURE, words.INTERNAL_ERROR]}
_REQUEST_ID = {"type": "string", "format": "uuid", "description": "The message's id."}
PAGEABLE = {
    "type": "object",
    "required": ["page", "size", "totalPages", "totalElements"],
    "properties": {
        "page": _COUNT,
        "size": {"type": "integer", "minimum": 1, "maximum": parameters.LARGEST_SIZE},
        "totalPages": _COUNT,
        "totalElements": _COUNT,
    },
}
_PARAMETERS = [
    OpenApiParameter(
        "id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="A request's Request-Id, or one message's id."
    ),
    OpenApiParameter(
        "page",
        {"type": "integer", "minimum": 0, "maximum": parameters.LARGEST_PAGE, "default": 0},
        description="Counted from 0.",
    ),
    OpenApiParameter(
        "size",
        {"type": "integer", "minimum": 1, "maximum": parameters.LARGEST_SIZE, "default": parameters.DEFAULT_SIZE},
        description="Elements on a page.",
    ),
]
_ITEMS = [
    {"requestId": "77022d89-8a5b-4ecb-a118-334c7ccb3779", "status": words.SUCCESS},
    {"requestId": "6c4480ea-3f3d-4fa7-9517-34e08902d6f9", "status": words.FAILURE},
]
NAK = {"$ref": f"#/components/schemas/{errors.NAME}"}


def v3(view: _View) -> _View:
    """Document `GET /api/v3/global/call/{id}`."""
    return _document(view, items=_ITEMS, version="v3", summary="The status of each message, with its id")


def v2(view: _View) -> _View:
    """Document `GET /api/v2/global/call/{id}`."""
    items = [{"status": item["status"]} for item in _ITEMS]
    return _document(view, items=items, version="v2", summary="The status of each message")


def _document(view: _View, *, items: list[dict[str, str]], version: str, summary: str) -> _View:
    decorate = extend_schema(
        operation_id=f"request_status_{version}",
        summary=summary,
        tags=["request status"],
        parameters=_PARAMETERS,
        responses={
            200: OpenApiResponse(_answer(items[0].keys()), description="In message order; empty past the last page."),
            400: OpenApiResponse(NAK, description="The page or its size is none."),
            404: OpenApiResponse(NAK, description="Unknown, malformed, or another client's: all the same."),
        },
        examples=[
            _example("A request of two messages", _ack(items), status=200),
            _example("A size that is none", errors.body(_bad_size()), status=400),
            _example("Not yours, or no such id", errors.body(errors.unknown_id()), status=404),
        ],
    )
    decorated: _View = decorate(view)
    return decorated


def _answer(keys: Any) -> dict[str, Any]:
    properties = {name: part for name, part in {"requestId": _REQUEST_ID, "status": _STATUS}.items() if name in keys}
    item = {"type": "object", "required": list(properties), "properties": properties}
    return {
        "type": "object",
        "required": ["errorCode", "errorMessage", "content", "pageable"],
        "properties": {
            "errorCode": {"const": ""},
            "errorMessage": {"const": ""},
            "content": {"type": "array", "items": item},
            "pageable": PAGEABLE,
        },
    }


def _ack(content: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "errorCode": "",
        "errorMessage": "",
        "content": content,
        "pageable": {"page": 0, "size": 10, "totalPages": 1, "totalElements": len(content)},
    }


def _bad_size() -> Problem:
    return Problem(400, f"size must be a whole number from 1 to {parameters.LARGEST_SIZE}")


def _example(name: str, value: dict[str, Any], *, status: int) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=[str(status)])
