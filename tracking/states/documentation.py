"""What OpenAPI says of this room in several places: parameters, bodies, answers, refusals, examples."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from orchestrator.api.problems import Problem
from orchestrator.stages import Kind
from tracking.states import bodies, errors, scalars, words

_View = TypeVar("_View", bound=Callable[..., Any])
Schema = dict[str, Any]

SCALAR: Schema = {"type": ["number", "string"], "minLength": 1, "maxLength": scalars.LONGEST}
DURATION: Schema = {"type": "number", "minimum": 0, "description": "Seconds."}
NUMBER: Schema = {"type": "integer", "minimum": 0}
UUID: Schema = {"type": "string", "format": "uuid"}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_GIVEN: dict[str, Schema] = {name: SCALAR | {"maxLength": most} for name, most in words.EVENT_FIELDS.items()}
_DESCRIPTION: Schema = {"type": "string", "maxLength": words.LONGEST_DISPOSITION_DESC}
_ENDED: dict[str, Schema] = {"disposition": SCALAR, "disposition_desc": _DESCRIPTION}
_EXTENSION_NAME: Schema = {"minLength": 1, "maxLength": bodies.LONGEST_NAME, "pattern": r"^[^, ]([^,]*[^, ])?$"}
_EXTENSIONS: Schema = {
    "additionalProperties": True,
    "description": "Keys that are not listed are extensions: values of any JSON, kept as they are.",
}
_EVENT: Schema = {"type": "object", "required": ["timestamp"], "properties": {"timestamp": _MOMENT} | _GIVEN}

SERVICE_ID = OpenApiParameter("service_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="Its Request-Id.")
STATE_ID = OpenApiParameter("state_id", NUMBER, OpenApiParameter.PATH, description="Counted from 0 in the service.")
TASK_ID = OpenApiParameter("task_id", NUMBER, OpenApiParameter.PATH, description="Counted from 0 in the service.")
NAME = OpenApiParameter(
    "name",
    {"type": "string", "minLength": 1, "maxLength": bodies.LONGEST_NAME, "pattern": r"^[^,/ ]([^,/]*[^,/ ])?$"},
    OpenApiParameter.PATH,
    description="The extension's name; case makes no difference.",
)
EXTENSION_NAMES = OpenApiParameter(
    "extensions", OpenApiTypes.STR, description="Names of extensions to answer, with commas between them."
)


def flag(name: str, what: str) -> OpenApiParameter:
    """Describe a parameter that asks for a key of the answer."""
    schema = {"type": "boolean", "default": False}
    return OpenApiParameter(name, schema, description=f"With the {what} under `{name}`.")


def types(name: str) -> OpenApiParameter:
    """Describe a parameter that filters by type."""
    return OpenApiParameter(name, OpenApiTypes.STR, description="Types, with commas between them, compared as text.")


TASK_FLAGS = [flag("active_tasks", "open tasks"), flag("completed_tasks", "tasks that are over")]


def body(kind: Kind, **properties: Schema) -> Schema:
    """Describe what is told of a start or an end. Other keys are extensions, unless an answer has such a key itself."""
    known = properties | {"timestamp": _MOMENT} | _GIVEN
    taken = sorted(words.ANSWERED[kind] - words.IDS[kind] - set(known))
    names = _EXTENSION_NAME | {"not": {"enum": taken}}
    return {"type": "object", "properties": known, "propertyNames": names} | _EXTENSIONS


def beginning(kind: Kind, **properties: Schema) -> Schema:
    """Describe the body of a start."""
    type_name = f"{kind.name.lower()}_type"
    return body(kind, **{type_name: SCALAR, "est_duration": DURATION}, **properties) | {"required": [type_name]}


def ending(kind: Kind, **properties: Schema) -> Schema:
    """Describe the body of an end."""
    return body(kind, **properties, **_ENDED)


def end_body(kind: Kind) -> tuple[Schema, Any]:
    """Describe the body of an end, with an example."""
    return ending(kind), {
        "disposition": 10,
        "disposition_desc": "quote accepted",
        "interaction_id": "157C9A208AFD523D01",
    }


def span(required: Mapping[str, Schema], **properties: Schema) -> Schema:
    """Describe a service, a state or a task as it is answered."""
    known = {**required, "est_duration": DURATION, "started": _EVENT, "completed": _EVENT} | _ENDED | properties
    return {"type": "object", "required": [*required, "started"], "properties": known} | _EXTENSIONS


TASK = span({"task_id": NUMBER, "task_type": SCALAR})
_TASKS: Schema = {"type": "array", "items": TASK}
STATE = span(
    {"service_id": UUID, "state_id": NUMBER, "state_type": SCALAR},
    duration={"type": "integer", "minimum": 0, "description": "Milliseconds, when it is over."},
    active_tasks=_TASKS,
    completed_tasks=_TASKS,
)
_STATES: Schema = {"type": "array", "items": STATE}
SERVICE = span(
    {"service_id": UUID, "service_type": SCALAR},
    customer_id=SCALAR,
    contact_key=SCALAR,
    active_states=_STATES,
    completed_states=_STATES,
)

EXAMPLE_ID = "0199d1a5-6f3c-7c11-9d53-4a1c6be0a001"
EXAMPLE_EVENT = {"timestamp": "2010-05-18T15:23:34.447Z", "application_type": 400, "interaction_id": "51"}
FEEDBACK = {"FeedbackType": "survey", "rating": 7, "notes": "warm welcome at frontdesk, thanks for the nice trip"}

_TEXTS = {
    400: Problem(400, "state_type is missing"),
    404: errors.unknown_service(),
    409: Problem(409, "It has ended already, or what it belongs to has."),
    422: Problem(422, "This Idempotency-Key was used for another body."),
}
_MEANINGS = {
    400: "A parameter or a field is none; or something would end before its start.",
    404: "Unknown, malformed, or another client's: all the same.",
    409: "Over already; or not begun as a service; or the first call with this key is still being stored.",
    422: "The key was used for another body.",
}


def operation(
    name: str,
    summary: str,
    *,
    parameters: list[OpenApiParameter],
    answers: Mapping[int, tuple[Schema | None, Any]],
    refusals: tuple[int, ...],
    sent: tuple[Schema, Any] | None = None,
) -> Callable[[_View], _View]:
    """Document one operation. `answers` and `sent`: schema and example; `refusals` beside those of every operation."""
    return extend_schema(
        operation_id=name,
        summary=summary,
        tags=["service states"],
        parameters=parameters,
        request={"application/json": sent[0]} if sent else None,
        responses=_responses(answers, refusals),
        examples=_examples(answers, refusals, sent),
    )


def _examples(
    answers: Mapping[int, tuple[Schema | None, Any]], refusals: tuple[int, ...], sent: tuple[Schema, Any] | None
) -> list[OpenApiExample]:
    examples = [
        OpenApiExample("Answer", value=value, response_only=True, status_codes=[str(status)])
        for status, (schema, value) in answers.items()
        if schema
    ]
    examples += [
        OpenApiExample(errors.NAME, value=errors.body(_TEXTS[status]), response_only=True, status_codes=[str(status)])
        for status in refusals
    ]
    if sent:
        examples.append(OpenApiExample("Body", value=sent[1], request_only=True))
    return examples


def _responses(answers: Mapping[int, tuple[Schema | None, Any]], refusals: tuple[int, ...]) -> dict[Any, Any]:
    responses: dict[Any, Any] = {
        status: OpenApiResponse(schema, description="" if schema else "Done; nothing to tell.")
        for status, (schema, _) in answers.items()
    }
    return responses | {
        status: OpenApiResponse({"$ref": f"#/components/schemas/{errors.NAME}"}, description=_MEANINGS[status])
        for status in refusals
    }


READING = (400, 404)
CHANGING = (400, 404, 409)
CHANGING_WITH_KEY = (400, 404, 409, 422)
NOTHING: dict[int, tuple[Schema | None, Any]] = {204: (None, None)}
EXTENSION_BODY: tuple[Schema, Any] = ({"description": "Any JSON: the whole value."}, FEEDBACK)
