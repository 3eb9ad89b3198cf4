"""The error body of the request status family: a NAK with the documents' codes.

In: a neutral `Problem`. Out: the body. Called by `orchestrator.api.problems` for every path of the family.
"""

from typing import Any

from orchestrator.api.problems import Problem

NAME = "StatusError"
"""What OpenAPI calls this body."""

UNAVAILABLE = "GLOBAL_1001"
REFUSED = "GLOBAL_1002"
UNKNOWN_ID = "GLOBAL_1003"
INTERNAL = "GLOBAL_1000"
UNAUTHENTICATED = "AUTH_1001"
FORBIDDEN = "AUTH_1002"

TEXTS = {
    UNAVAILABLE: "Service unavailable. Please try again",
    UNKNOWN_ID: "Provided request ID does not exist for your account",
}
"""The texts that the document prescribes."""

_CODES = {401: UNAUTHENTICATED, 403: FORBIDDEN, 429: UNAVAILABLE, 503: UNAVAILABLE}


def body(problem: Problem) -> dict[str, Any]:
    """Put a problem into the family's words. A view may name the code itself."""
    code = problem.code or _CODES.get(problem.status) or (INTERNAL if problem.status >= 500 else REFUSED)
    return {
        "errorCode": code,
        "errorMessage": TEXTS.get(code, problem.text),
        "content": "",
        "pageable": None,
    }


def unknown_id() -> Problem:
    """Return the answer for an id that is unknown, malformed or another client's: all three are the same."""
    return Problem(404, TEXTS[UNKNOWN_ID], code=UNKNOWN_ID)
