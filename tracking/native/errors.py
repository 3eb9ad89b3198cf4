"""The error body of this family: a code and a message.

In: a neutral `Problem`. Out: the body. Called by `orchestrator.api.problems` for every path of the family.
"""

from typing import Any

from orchestrator.api.problems import Problem
from tracking.native.words import Code

NAME = "NativeError"
"""What OpenAPI calls this body."""

_BODIES = {
    400: ("BADREQUEST", "Bad Request"),
    401: ("UNAUTHORIZED", "Unauthorized to access resource"),
    404: ("NOTFOUND", "Resource was not found"),
    406: ("ACCEPT_HEADER_INVALID", "The accept header is missing or invalid"),
    500: ("INTERNAL_SERVER_ERROR", "Internal server error"),
}
"""What the document, and the API that it comes from, prescribe."""

_PHRASES = {
    402: "Payment Required",
    403: "Forbidden",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    416: "Range Not Satisfiable",
    417: "Expectation Failed",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    426: "Upgrade Required",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}
"""The reason phrases of RFC 9110 §15.5 and §15.6: Python's own change from version to version."""

THROTTLE = {"status": {"code": Code.THROTTLE.value}}


def body(problem: Problem) -> dict[str, Any]:
    """Put a problem into the family's words. They say no more than the status does."""
    if problem.status == 429:
        return THROTTLE
    code, message = _BODIES.get(problem.status) or _from_phrase(problem.status)
    return {"code": code, "message": message}


def _from_phrase(status: int) -> tuple[str, str]:
    phrase = _PHRASES.get(status)
    if phrase is None:
        return _BODIES[500 if status >= 500 else 400]
    return phrase.upper().replace(" ", "_"), phrase
