"""What the request status documents call a message's status. Pure."""

from orchestrator.lifecycle import FailureKind, Status

OPEN, SUCCESS, FAILURE, INTERNAL_ERROR = "OPEN", "SUCCESS", "FAILURE", "INTERNAL_ERROR"

_WORDS: dict[tuple[str, str | None], str] = {
    (Status.QUEUED, None): OPEN,
    (Status.PROCESSING, None): OPEN,
    (Status.COMPLETE, None): SUCCESS,
    (Status.FAILED, FailureKind.REJECTED): FAILURE,
    (Status.FAILED, FailureKind.INTERNAL): INTERNAL_ERROR,
    (Status.FAILED, FailureKind.TIMEOUT): INTERNAL_ERROR,
    (Status.INVALID, None): FAILURE,
    (Status.CANCELLED, None): FAILURE,
}


def word(status: str, failure_kind: str | None) -> str:
    """Return the window's word for a message's status, of a failed one by what kind of failure it was."""
    return _WORDS[status, failure_kind]
