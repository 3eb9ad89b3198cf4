"""What OpenAPI says of the states of a service."""

from orchestrator.api import headers
from orchestrator.stages import Kind
from tracking.states import documentation as shared

_EXAMPLE = {
    "service_id": shared.EXAMPLE_ID,
    "state_id": 0,
    "state_type": 100,
    "est_duration": 60,
    "started": shared.EXAMPLE_EVENT,
    "Feedback": shared.FEEDBACK,
    "active_tasks": [
        {"task_id": 1, "task_type": 5, "est_duration": 300, "started": {"timestamp": "2010-05-18T15:23:41.298Z"}}
    ],
    "completed_tasks": [
        {
            "task_id": 0,
            "task_type": 2,
            "started": {"timestamp": "2010-05-18T15:23:35.715Z", "interaction_id": "123ABC908ABFFD8080"},
            "completed": {"timestamp": "2010-05-18T15:23:40.715Z", "interaction_id": "157C9A208AFD523D01"},
            "disposition": 10,
            "disposition_desc": "quote accepted",
        }
    ],
}
_STARTED = {"type": "object", "required": ["state_id"], "properties": {"state_id": shared.NUMBER}}
_TRANSITION = shared.body(
    Kind.STATE,
    **{
        "from": shared.ending(Kind.STATE, state_id=shared.NUMBER) | {"required": ["state_id"]},
        "to": shared.beginning(Kind.STATE),
    },
) | {"required": ["from", "to"]}

query = shared.operation(
    "states",
    "The states of a service",
    parameters=[shared.SERVICE_ID, shared.types("state_types"), *shared.TASK_FLAGS, shared.EXTENSION_NAMES],
    answers={200: ({"type": "array", "items": shared.STATE}, [_EXAMPLE])},
    refusals=shared.READING,
)
read = shared.operation(
    "state",
    "One state",
    parameters=[shared.SERVICE_ID, shared.STATE_ID, *shared.TASK_FLAGS, shared.EXTENSION_NAMES],
    answers={200: (shared.STATE, _EXAMPLE)},
    refusals=shared.READING,
)
start = shared.operation(
    "state_start",
    "Begin a state",
    parameters=[shared.SERVICE_ID, headers.IDEMPOTENCY_KEY],
    sent=(
        shared.beginning(Kind.STATE, previous_state_id=shared.NUMBER),
        {"state_type": 100, "est_duration": 60, "interaction_id": "51", "Feedback": shared.FEEDBACK},
    ),
    answers={201: (_STARTED, {"state_id": 0})},
    refusals=shared.CHANGING_WITH_KEY,
)
transition = shared.operation(
    "state_transition",
    "End a state and begin another: both or neither",
    parameters=[shared.SERVICE_ID, headers.IDEMPOTENCY_KEY],
    sent=(
        _TRANSITION,
        {"from": {"state_id": 0, "disposition": 1}, "to": {"state_type": 101, "est_duration": 60}, "media_type": 2},
    ),
    answers={201: (_STARTED, {"state_id": 1})},
    refusals=shared.CHANGING_WITH_KEY,
)
end = shared.operation(
    "state_end",
    "End a state, with its open tasks",
    parameters=[shared.SERVICE_ID, shared.STATE_ID, headers.IDEMPOTENCY_KEY],
    sent=shared.end_body(Kind.STATE),
    answers=shared.NOTHING,
    refusals=shared.CHANGING_WITH_KEY,
)
put_extension = shared.operation(
    "state_extension",
    "Put an extension of a state in place",
    parameters=[shared.SERVICE_ID, shared.STATE_ID, shared.NAME],
    sent=shared.EXTENSION_BODY,
    answers=shared.NOTHING,
    refusals=shared.CHANGING,
)
