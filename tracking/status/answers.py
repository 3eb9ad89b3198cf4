"""What a regular and a bulk call are answered with: an ACK, or a NAK that lists the nodes that failed.

In: the receipt of what was stored, or what is wrong. Out: the body, or the answer of the door. Called by
`call_views.py`, through intake.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.api import rendering
from orchestrator.idempotency import Answer
from orchestrator.intake import Receipt
from tracking.status import errors, parameters
from tracking.status.bodies import Node


def called(receipt: Receipt) -> Answer:
    """Acknowledge a regular call: one id stands for the request and for its message."""
    body = {
        "errorCode": "",
        "errorMessage": "",
        "content": [{"requestId": receipt.request_id}],
        "pageable": pageable(size=parameters.DEFAULT_SIZE, elements=1),
    }
    return _accepted(receipt.request_id, body)


def bulk_called(receipt: Receipt, nodes: Sequence[Node]) -> Answer:
    """Acknowledge a bulk: each node with the id of its message; the header has the umbrella's."""
    listed = [_node(node, request_id=row.id) for node, row in zip(nodes, receipt.messages, strict=True)]
    return _accepted(receipt.request_id, {"bulk": listed, "pageable": pageable(size=len(nodes), elements=len(nodes))})


def bulk_refused(nodes: Sequence[Node], problems: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    """Refuse a bulk: only the nodes that failed, each with what is wrong."""
    failed = [_node(nodes[index], problem="; ".join(texts)) for index, texts in sorted(problems.items())]
    return {"bulk": failed, "pageable": None}


def pageable(*, size: int, elements: int, page: int = 0) -> dict[str, int]:
    """Return the family's word on pages."""
    return {"page": page, "size": size, "totalPages": -(-elements // size), "totalElements": elements}


def _node(node: Node, *, request_id: uuid.UUID | None = None, problem: str = "") -> dict[str, Any]:
    return {
        "errorCode": errors.REFUSED if problem else "",
        "errorMessage": problem,
        "requestId": request_id or "",
        "subscriberIdentifiers": rendering.RawJSON(node.subscriber_identifiers),
        "content": rendering.RawJSON(node.content),
    }


def _accepted(request_id: uuid.UUID, body: dict[str, Any]) -> Answer:
    headers = {"Request-Id": str(request_id)}
    return Answer(status=200, headers=headers, body=rendering.dumps(body), request_id=request_id)
