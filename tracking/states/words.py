"""What the service states documents call things. Pure."""

from orchestrator.lifecycle import Status

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

IDS = frozenset({"service_id", "state_id", "task_id"})
ANSWERED = IDS | {
    "service_type",
    "state_type",
    "task_type",
    "customer_id",
    "contact_key",
    "est_duration",
    "started",
    "completed",
    "disposition",
    "disposition_desc",
    "duration",
    "active_states",
    "completed_states",
    "active_tasks",
    "completed_tasks",
}
"""Keys that answers have themselves: an extension can't be called so."""
