"""Where a tracking search starts from: which index finds its requests.

In: a search, and which part of its answer is wanted. Out: the middle of a statement. Called by `queries.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.lifecycle import UNSUCCESSFUL, Status
from tracking.gateway import filters, ordering
from tracking.gateway.criteria import Criteria, Sort, SortKey


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a search's answer is read: requests, skipped and taken, in at most `rows` rows.

    `after` and `bound` let a search go on: behind the last request, up to the time at which its first part was read.
    """

    rows: int
    take: int
    skip: int = 0
    after: ordering.Position | None = None
    bound: datetime | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """FROM, WHERE, ORDER BY and LIMIT of a statement that finds requests, as `request`."""

    relation: str
    condition: str
    order: ordering.Order
    window: str


_WINDOW = "LIMIT %(take)s OFFSET %(skip)s"

# One look at a request's messages by message_in_request. OFFSET 0 keeps the planner from making a join of it, whose
# size it can only guess: so it stays one look a request, at those alone that the walk along the index comes to.
_HAS_MATCH = "EXISTS (SELECT FROM orchestrator_message AS message WHERE {of_message} OFFSET 0)"

# message_processing: behind a long backlog those in processing are few, and the last that a walk would come to.
_IN_PROCESSING = """request.id IN (
        SELECT request_id FROM orchestrator_message WHERE client_id = %(client)s AND status = %(processing)s
    )"""

# request_batch_reference and message_external_reference, then requests by primary key.
_BY_REFERENCE = """(
        SELECT id FROM orchestrator_request
        WHERE client_id = %(client)s AND batch_reference = ANY (%(references_0)s)
        UNION
        SELECT request_id FROM orchestrator_message
        WHERE client_id = %(client)s AND external_reference = ANY (%(references_0)s)
    ) AS found JOIN orchestrator_request AS request ON request.id = found.id"""

# message_unsuccessful in its own order, one branch a status, each no further than the page can reach: the walks end
# when the page is full, however much went wrong. A message has its request's received_at, so the order of messages is
# that of their requests. Then requests by primary key.
_UNSUCCESSFUL = """(
        SELECT received_at, request_id FROM ({branches}) AS unsuccessful
        ORDER BY {order} {window}
    ) AS found JOIN orchestrator_request AS request ON request.id = found.request_id"""
_BRANCH = """(
            SELECT DISTINCT received_at, request_id FROM orchestrator_message
            WHERE {condition} ORDER BY {order} LIMIT %(skip)s + %(take)s
        )"""


def choose(criteria: Criteria, sorts: Sequence[Sort], part: Part) -> Source:
    """Choose the index to start from, by what is most telling."""
    if criteria.ids is None and criteria.references:
        return _from_requests(_BY_REFERENCE, criteria, sorts, part)
    if criteria.ids is None and criteria.statuses and criteria.statuses <= UNSUCCESSFUL and _by_received_alone(sorts):
        return _from_unsuccessful(criteria, sorts, part)
    # By primary key, or along request_received; open ones also by request_open, where they are few.
    return _from_requests("orchestrator_request AS request", criteria, sorts, part)


def _from_requests(relation: str, criteria: Criteria, sorts: Sequence[Sort], part: Part) -> Source:
    order = ordering.of_requests(sorts, going_on=part.after is not None)
    conditions = [*filters.of_request(criteria), *_behind(order, part)]
    if criteria.statuses == frozenset({Status.PROCESSING}):
        conditions.append(_IN_PROCESSING)
    of_message = filters.of_message(criteria)
    if len(of_message) > 1:
        conditions.append(_HAS_MATCH.format(of_message=" AND ".join(of_message)))
    return Source(relation, " AND ".join(conditions), order, _WINDOW)


def _from_unsuccessful(criteria: Criteria, sorts: Sequence[Sort], part: Part) -> Source:
    order = ordering.of_requests(sorts, received="received_at", id="request_id")
    shared = [*filters.of_unsuccessful(criteria), *_behind(order, part)]
    branches = [
        _BRANCH.format(condition=" AND ".join([*shared, one]), order=order.text())
        for one in filters.each_status(criteria)
    ]
    relation = _UNSUCCESSFUL.format(branches=" UNION ".join(branches), order=order.text(), window=_WINDOW)
    return Source(
        relation, "true", ordering.of_requests(sorts, received="found.received_at", id="found.request_id"), ""
    )


def _behind(order: ordering.Order, part: Part) -> list[str]:
    return [order.after(part.after), f"{order.received} <= %(bound)s"] if part.after else []


def _by_received_alone(sorts: Sequence[Sort]) -> bool:
    return [sort.by for sort in sorts] == [SortKey.RECEIVED]
