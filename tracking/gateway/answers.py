"""What a submission is answered with, in the Gateway's words.

In: the receipt of what was stored. Out: the answer of the door. Called by `views.py`, through intake.
"""

from typing import Any

from orchestrator.api import rendering
from orchestrator.idempotency import Answer
from orchestrator.intake import Receipt
from tracking.gateway import periods


def accepted(receipt: Receipt, *, batch_reference: str, status: int, with_messages: bool) -> Answer:
    """Answer that the submission is stored. `with_messages`: the caller prefers return=representation."""
    data: dict[str, Any] = {
        "id": receipt.request_id,
        "batchReference": batch_reference,
        "receivedDate": periods.printed(receipt.received_at),
    }
    headers = {"Request-Id": str(receipt.request_id), "Location": f"/api/v1/requests/{receipt.request_id}"}
    if with_messages:
        data["messages"] = [
            {"id": message.id, "externalReference": message.external_reference, "messageStatus": message.status.value}
            for message in receipt.messages
        ]
        headers["Preference-Applied"] = "return=representation"
    body = {"data": data, "errors": _errors(receipt), "success": True}
    return Answer(status=status, headers=headers, body=rendering.dumps(body), request_id=receipt.request_id)


def _errors(receipt: Receipt) -> list[dict[str, Any]]:
    """List why messages are Invalid, each with its place in the payload."""
    return [
        {"errorMessage": text, "index": index}
        for index, message in enumerate(receipt.messages)
        for text in message.errors
    ]
