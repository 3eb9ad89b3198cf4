"""A tracking search as conditions of SQL.

In: criteria. Out: texts of SQL with named parameters, and the parameters. Called by `sources.py` and `queries.py`,
whose statements name the request `request` and the message `message`. Values never become text of a statement.
"""

from typing import Any

from orchestrator.lifecycle import UNSUCCESSFUL, Status
from tracking.gateway.criteria import Criteria

Parameters = dict[str, Any]

_COUNTERS: dict[Status, str] = {
    Status.QUEUED: "request.open",
    Status.PROCESSING: "request.open",
    Status.COMPLETE: "request.complete",
    Status.FAILED: "request.failed",
    Status.INVALID: "request.invalid",
    Status.CANCELLED: "request.cancelled",
}
"""The counter that tells, before any message is looked at, whether a request can hold one in that status."""


def parameters(criteria: Criteria) -> Parameters:
    """Return the values that the conditions below name."""
    values: Parameters = {f"references_{n}": sorted(texts) for n, texts in enumerate(criteria.references)}
    if criteria.types is not None:
        values["types"] = sorted(criteria.types)
    if criteria.statuses is not None:
        values["statuses"] = sorted(status.value for status in criteria.statuses)
        values |= {f"status_{status.name}": status.value for status in criteria.statuses}
    if criteria.ids is not None:
        values["ids"] = sorted(criteria.ids)
    if criteria.period is not None:
        values |= {"since": criteria.period.since, "before": criteria.period.before}
    return values


def of_request(criteria: Criteria) -> list[str]:
    """Return what the request's own row must meet. Types and counters spare most requests a look at their messages."""
    conditions = _received(criteria, "request.")
    if criteria.ids is not None:
        conditions.append("request.id = ANY (%(ids)s)")
    if criteria.types is not None:
        conditions.append("request.types && %(types)s::text[]")
    if criteria.statuses is not None:
        counters = sorted({f"{_COUNTERS[status]} > 0" for status in criteria.statuses})
        conditions.append(f"({' OR '.join(counters) or 'false'})")
    return conditions


def of_message(criteria: Criteria) -> list[str]:
    """Return what one message must meet, all at once; the first condition says that it is the request's."""
    conditions = ["message.request_id = request.id", *_of_type(criteria, "message.")]
    if criteria.statuses is not None:
        conditions.append("message.status = ANY (%(statuses)s)")
        if criteria.statuses <= UNSUCCESSFUL:
            # What went wrong in a large request is found by message_unsuccessful, without reading all of its messages.
            conditions += ["message.client_id = %(client)s", "message.received_at = request.received_at"]
    for n in range(len(criteria.references)):
        mine = f"ANY (%(references_{n})s)"
        conditions.append(f"(message.external_reference = {mine} OR request.batch_reference = {mine})")
    return conditions


def of_unsuccessful(criteria: Criteria) -> list[str]:
    """Return what a message must meet, in columns of its own; its status apart, see `each_status`."""
    return _received(criteria, "") + _of_type(criteria, "")


def each_status(criteria: Criteria) -> list[str]:
    """Return one condition for each status that is asked for."""
    return [f"status = %(status_{status.name})s" for status in sorted(criteria.statuses or ())]


def _received(criteria: Criteria, row: str) -> list[str]:
    """Return whose a request or message is, and when it was received: both are columns of both."""
    conditions = [f"{row}client_id = %(client)s"]
    if criteria.period is not None:
        conditions.append(f"{row}received_at >= %(since)s AND {row}received_at < %(before)s")
    return conditions


def _of_type(criteria: Criteria, row: str) -> list[str]:
    return [] if criteria.types is None else [f"{row}type = ANY (%(types)s)"]
