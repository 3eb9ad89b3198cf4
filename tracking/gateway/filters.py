"""A tracking search as conditions of SQL.

In: criteria and an order. Out: texts of SQL with named parameters, and the parameters. Called by `queries.py`, whose
statements name the request `request` and the message `message`. Values never become text of the statement.
"""

from dataclasses import dataclass
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
    conditions = ["request.client_id = %(client)s"]
    if criteria.ids is not None:
        conditions.append("request.id = ANY (%(ids)s)")
    if criteria.period is not None:
        conditions.append("request.received_at >= %(since)s AND request.received_at < %(before)s")
    if criteria.types is not None:
        conditions.append("request.types && %(types)s::text[]")
    if criteria.statuses is not None:
        counters = sorted({f"{_COUNTERS[status]} > 0" for status in criteria.statuses})
        conditions.append(f"({' OR '.join(counters) or 'false'})")
    return conditions


def of_message(criteria: Criteria) -> list[str]:
    """Return what one message must meet, all at once; the first condition says that it is the request's."""
    conditions = ["message.request_id = request.id"]
    if criteria.types is not None:
        conditions.append("message.type = ANY (%(types)s)")
    if criteria.statuses is not None:
        conditions.append("message.status = ANY (%(statuses)s)")
    for n in range(len(criteria.references)):
        mine = f"ANY (%(references_{n})s)"
        conditions.append(f"(message.external_reference = {mine} OR request.batch_reference = {mine})")
    return conditions


@dataclass(frozen=True, slots=True)
class Source:
    """Where candidates come from, and how it names what requests are usually sorted by.

    `complete`: it has applied the criteria of messages already.
    """

    text: str
    received: str = "request.received_at"
    id: str = "request.id"
    complete: bool = False


# By primary key, or along request_received; open ones also by request_open, where they are few.
_FROM_REQUESTS = Source("orchestrator_request AS request")

# request_batch_reference and message_external_reference, then requests by primary key.
_FROM_REFERENCES = Source(
    """(
        SELECT id FROM orchestrator_request
        WHERE client_id = %(client)s AND batch_reference = ANY (%(references_0)s)
        UNION
        SELECT request_id FROM orchestrator_message
        WHERE client_id = %(client)s AND external_reference = ANY (%(references_0)s)
    ) AS found JOIN orchestrator_request AS request ON request.id = found.id"""
)


def source(criteria: Criteria) -> Source:
    """Choose the index that a search starts from."""
    if criteria.ids is not None:
        return _FROM_REQUESTS
    if criteria.references:
        return _FROM_REFERENCES
    if criteria.statuses and criteria.statuses <= UNSUCCESSFUL:
        return _from_unsuccessful(criteria)
    return _FROM_REQUESTS


def _from_unsuccessful(criteria: Criteria) -> Source:
    """Start from what went wrong: message_unsuccessful, in its order, one branch a status.

    A message has its request's received_at, so the branches merge into the order of requests with next to no sorting,
    and the walk ends with the page, however much went wrong.
    """
    branches = " UNION ALL ".join(
        f"SELECT received_at, request_id FROM orchestrator_message WHERE {condition}"  # noqa: S608 - our own texts
        for condition in _of_unsuccessful(criteria)
    )
    return Source(
        f"(SELECT DISTINCT received_at, request_id FROM ({branches}) AS unsuccessful)"  # noqa: S608
        " AS found (received_at, id) JOIN orchestrator_request AS request ON request.id = found.id",
        received="found.received_at",
        id="found.id",
        complete=True,
    )


def _of_unsuccessful(criteria: Criteria) -> list[str]:
    conditions = ["client_id = %(client)s"]
    if criteria.period is not None:
        conditions.append("received_at >= %(since)s AND received_at < %(before)s")
    if criteria.types is not None:
        conditions.append("type = ANY (%(types)s)")
    return [
        " AND ".join([*conditions, f"status = %(status_{status.name})s"]) for status in sorted(criteria.statuses or ())
    ]
