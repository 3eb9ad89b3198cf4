"""What the order events document calls the end of an order. Pure."""

from orchestrator.finishing import Finished
from orchestrator.lifecycle import FINAL, Status
from orders.models import State

CANCELLED = "Cancelled"

_STATES = dict.fromkeys(FINAL, State.DONE_FAILED) | {Status.COMPLETE: State.DONE_SUCCESS}


def state(finished: Finished) -> State:
    """Return the final state of an order whose message ended so."""
    return _STATES[finished.status]


def message(finished: Finished) -> str:
    """Return what the client is told of it: only a failed order says something."""
    if finished.status is Status.CANCELLED:
        return CANCELLED
    return "; ".join(finished.errors)
