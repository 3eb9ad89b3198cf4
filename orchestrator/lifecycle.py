"""The life of a message: its statuses and the moves between them.

In: nothing. Out: the words and the table that everything else obeys. Called by every room.
Pure: no database, no clock. `docs/message-life.md` draws this table, and a test compares the two.
"""

from enum import StrEnum


class Status(StrEnum):
    """Where a message is. The ledger's own words; each window translates them beside its serializer."""

    QUEUED = "Queued"
    PROCESSING = "Processing"
    COMPLETE = "Complete"
    FAILED = "Failed"
    INVALID = "Invalid"
    CANCELLED = "Cancelled"


class FailureKind(StrEnum):
    """Why a message is Failed: the business said no, we could not, or it took too long."""

    REJECTED = "rejected"
    INTERNAL = "internal"
    TIMEOUT = "timeout"


class StopReason(StrEnum):
    """Why a request was stopped before all its messages had begun."""

    HALTED = "halted"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class ErrorPolicy(StrEnum):
    """What the failure of one message means for the others of its request."""

    HALT = "haltOnError"
    PROCEED = "proceedOnError"


OPEN: frozenset[Status] = frozenset({Status.QUEUED, Status.PROCESSING})
FINAL: frozenset[Status] = frozenset(Status) - OPEN
UNSUCCESSFUL: frozenset[Status] = frozenset({Status.FAILED, Status.INVALID, Status.CANCELLED})

MOVES: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.PROCESSING, Status.CANCELLED}),
    Status.PROCESSING: frozenset({Status.COMPLETE, Status.FAILED, Status.QUEUED, Status.CANCELLED}),
    **{status: frozenset() for status in FINAL},
}
"""Every allowed move. Processing → Cancelled is for a message that was claimed but never begun."""

AT_INTAKE: frozenset[Status] = frozenset({Status.QUEUED, Status.INVALID, Status.CANCELLED, Status.PROCESSING})
"""The statuses a message can be born with. Processing: an external task, which no worker claims;
Cancelled: a neighbour of an Invalid message under haltOnError."""


EXTERNAL_DOOR = "services"
"""The door of external tasks: what came through it is ended by its owner, task by task, and can't be cancelled."""

WORDS: dict[str, str] = {status.name.lower(): status.value for status in Status}
"""The statuses as parameters of SQL statements: `%(queued)s` and its like."""
