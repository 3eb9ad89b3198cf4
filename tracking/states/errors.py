"""The error body of the service states family: a message, and an exception by name.

In: a neutral `Problem`, and what flows refuses. Out: the body. Called by `orchestrator.api.problems`, and by the views.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator import changes, flows
from orchestrator.api import doors
from orchestrator.api.problems import Problem

NAME = "ServiceError"
"""What OpenAPI calls this body."""

_EXCEPTIONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    413: "TooLarge",
    415: "UnsupportedMediaType",
    422: "Unprocessable",
    429: "TooManyRequests",
    500: "Internal",
    503: "Unavailable",
}
_REFUSALS: dict[type[Exception], int] = {
    changes.UnknownService: 404,
    flows.UnknownStage: 404,
    changes.NotBegunAsService: 409,
    flows.AlreadyEnded: 409,
    changes.EndsBeforeStart: 400,
    flows.TooLong: 413,
}


def body(problem: Problem) -> dict[str, Any]:
    """Put a problem into the family's words."""
    name = _EXCEPTIONS.get(problem.status) or ("Internal" if problem.status >= 500 else "BadRequest")
    return {"message": problem.text, "exception": f"{name}Exception"}


def unknown_service() -> Problem:
    """Return the answer for an id that is unknown, malformed or another client's: all three are the same."""
    return Problem(404, str(changes.UnknownService.__doc__))


def unknown_stage() -> Problem:
    """Return the answer for a state or a task that its service does not have."""
    return Problem(404, str(flows.UnknownStage.__doc__))


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what flows and the engine refuse into a `Problem`."""
    try:
        with doors.refusals():
            yield
    except tuple(_REFUSALS) as refusal:
        raise Problem(_REFUSALS[type(refusal)], str(refusal)) from refusal
