"""What OpenAPI says of the tasks of a service."""

from drf_spectacular.utils import OpenApiParameter

from orchestrator.api import headers
from orchestrator.lifecycle import Status
from orchestrator.stages import Kind
from tracking.states import documentation as shared
from tracking.states import parameters

_EXAMPLE = {
    "task_id": 0,
    "task_type": "Estimate",
    "started": {"timestamp": "2010-05-18T15:23:35.715Z"},
    "completed": {"timestamp": "2010-05-18T15:23:40.715Z"},
    "disposition": Status.FAILED.value,
    "disposition_desc": "No such customer",
}
_STARTED = {"type": "object", "required": ["task_id"], "properties": {"task_id": shared.NUMBER}}
_OF_STATE = OpenApiParameter(
    "state_id", shared.NUMBER | {"maximum": parameters.LARGEST_NUMBER}, description="Only the tasks of that state."
)

query = shared.operation(
    "tasks",
    "The tasks of a service; every message is one",
    parameters=[shared.SERVICE_ID, _OF_STATE, shared.types("task_types"), shared.EXTENSION_NAMES],
    answers={200: ({"type": "array", "items": shared.TASK}, [_EXAMPLE])},
    refusals=shared.READING,
)
read = shared.operation(
    "task",
    "One task",
    parameters=[shared.SERVICE_ID, shared.TASK_ID, shared.EXTENSION_NAMES],
    answers={200: (shared.TASK, _EXAMPLE)},
    refusals=shared.READING,
)
start = shared.operation(
    "task_start",
    "Begin an external task: no worker claims it, its owner ends it",
    parameters=[shared.SERVICE_ID, headers.IDEMPOTENCY_KEY],
    sent=(
        shared.beginning(Kind.TASK, state_id=shared.NUMBER),
        {"task_type": 5, "state_id": 0, "est_duration": 300},
    ),
    answers={201: (_STARTED, {"task_id": 0})},
    refusals=shared.CHANGING_WITH_KEY,
)
end = shared.operation(
    "task_end",
    "End an external task",
    parameters=[shared.SERVICE_ID, shared.TASK_ID, headers.IDEMPOTENCY_KEY],
    sent=shared.end_body(Kind.TASK),
    answers=shared.NOTHING,
    refusals=shared.CHANGING_WITH_KEY,
)
put_extension = shared.operation(
    "task_extension",
    "Put an extension of a task in place",
    parameters=[shared.SERVICE_ID, shared.TASK_ID, shared.NAME],
    sent=shared.EXTENSION_BODY,
    answers=shared.NOTHING,
    refusals=shared.CHANGING,
)
