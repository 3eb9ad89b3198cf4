"""What the service states documents call things. Pure."""

from orchestrator.lifecycle import Status
from orchestrator.stages import Kind

AUTOMATIC_STATE = 0
AUTOMATIC_STATE_TYPE = "8"
"""The one state of a request from any other door: the original's "Delivering service", as JSON text."""

DISPOSITIONS: dict[str, str] = {status.value: status.value for status in Status}
"""The disposition of a message's task, when it is over: its status, in the ledger's words."""

LONGEST_DISPOSITION_DESC = 64
EVENT_FIELDS: dict[str, int] = {
    "session_id": 32,
    "interaction_id": 50,
    "application_type": 255,
    "application_id": 255,
    "resource_type": 255,
    "resource_id": 255,
    "media_type": 255,
}
"""What may be given of a start or an end beside its timestamp, and how many characters each may have."""

_SPAN = frozenset({"est_duration", "started", "completed", "disposition", "disposition_desc"})
IDS: dict[Kind, frozenset[str]] = {
    Kind.SERVICE: frozenset({"service_id"}),
    Kind.STATE: frozenset({"service_id", "state_id"}),
    Kind.TASK: frozenset({"task_id"}),
}
ANSWERED: dict[Kind, frozenset[str]] = {
    Kind.SERVICE: _SPAN
    | IDS[Kind.SERVICE]
    | {"service_type", "customer_id", "contact_key", "active_states", "completed_states"},
    Kind.STATE: _SPAN | IDS[Kind.STATE] | {"state_type", "duration", "active_tasks", "completed_tasks"},
    Kind.TASK: _SPAN | IDS[Kind.TASK] | {"task_type"},
}
"""Keys that the answers have themselves: an extension can't be called so."""
