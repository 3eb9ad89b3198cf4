"""The error body of this family: a cause.

In: a neutral `Problem`. Out: the body. Called by `orchestrator.api.problems` for every path of the family.
"""

from typing import Any

from orchestrator.api.problems import Problem

PREFIX = "/api/2.3.1"
NAME = "OrdersError"
"""What OpenAPI calls this body."""


def body(problem: Problem) -> dict[str, Any]:
    """Put a problem into the family's words."""
    return {"cause": problem.text}


def unknown_order() -> Problem:
    """Return the one answer for an id that is malformed, unknown or another client's."""
    return Problem(404, "You have no order of this id")
