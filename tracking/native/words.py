"""What the poll document calls the state of a task, and the names in its bodies. Pure."""

from enum import StrEnum

from orchestrator.lifecycle import FINAL, FailureKind, Status

MEDIA_TYPE = "application/vnd.hmrc.1.0+json"
"""What Accept must be, to the letter."""


class Code(StrEnum):
    """The overall status of a task, or of an attempt to start one."""

    POLL = "poll"
    COMPLETE = "complete"
    TIMEOUT = "timeout"
    ERROR = "error"
    THROTTLE = "throttle"


def is_success(status: str) -> bool:
    """Tell whether a message has responseData; all that ended otherwise is a failure here."""
    return status == Status.COMPLETE


def is_loss(status: str) -> bool:
    """Tell whether a message ended without success, so that nothing more can be hoped for."""
    return status in FINAL and not is_success(status)


def is_timeout(failure_kind: str | None) -> bool:
    """Tell whether a failure came of a back end that took too long."""
    return failure_kind == FailureKind.TIMEOUT
