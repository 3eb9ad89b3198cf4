"""Requests and messages in the Gateway's words, as JSON.

In: rows of the ledger. Out: what stands in the answers. Called by the views of the search and of a single request.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from orchestrator.api import rendering
from orchestrator.auth import Account
from orchestrator.lifecycle import Status
from tracking.gateway import periods, words
from tracking.gateway.queries import MessageRow, RequestRow
from tracking.gateway.search import Piece


def request_body(
    request: RequestRow, messages: Sequence[MessageRow], *, account: Account, payload: bool = True
) -> dict[str, Any]:
    """Return one request as the tracking document describes it; without `payload` its messages are left out."""
    body = _head(request, account=account)
    return body | {"payload": [message_body(message) for message in messages]} if payload else body


def search_body(echo: bytes, pieces: Iterable[Piece], *, account: Account) -> Iterator[bytes]:
    """Yield the answer of a search, a chunk of JSON a piece. `echo`: the criteria as the client wrote them."""
    before = b'{"data":{"search":%b,"requests":[' % echo
    is_open = False
    for piece in pieces:
        chunk = [before]
        for found in piece.found:
            messages = _dump_messages(found.messages)
            if piece.goes_on:
                chunk.append(b"," + messages if messages else b"")
                continue
            chunk.append(b"]}," if is_open else b"")
            chunk.append(rendering.dumps(_head(found.request, account=account))[:-1] + b',"payload":[' + messages)
            is_open = True
        if piece.last:
            chunk.append((b"]}" if is_open else b"") + b']},"errors":[],"success":true}')
        yield b"".join(chunk)
        before = b""


def _dump_messages(messages: Sequence[MessageRow]) -> bytes:
    """Return the messages as JSON with commas between them, but no brackets around them."""
    return rendering.dumps([message_body(message) for message in messages])[1:-1]


def _head(request: RequestRow, *, account: Account) -> dict[str, Any]:
    counts = request.counts()
    status = words.request_status(door=request.door, ended=request.completed_at is not None, counts=counts)
    return {
        "feedId": account.feed_id,
        "clientName": account.name,
        "id": request.id,
        "batchReference": request.batch_reference,
        "receivedDate": periods.printed(request.received_at),
        "requestStatus": status.value,
        "messageStatusSummary": {"total": request.total}
        | {status.value.lower(): counts[status] for status in _SUMMARY_ORDER},
    }


_SUMMARY_ORDER = (
    Status.QUEUED,
    Status.PROCESSING,
    Status.CANCELLED,
    Status.FAILED,
    Status.INVALID,
    Status.COMPLETE,
)
"""The order of the document's example."""


def message_body(message: MessageRow) -> dict[str, Any]:
    """Return one message as it stands in a request's payload."""
    body: dict[str, Any] = {
        words.id_key(message.type): message.id,
        "externalReference": message.external_reference,
        "messageStatus": message.status,
        "messageType": message.type,
        "processedTime": periods.printed(message.processed_at) if message.processed_at else None,
    }
    if message.errors:
        body["errors"] = [{"errorMessage": text} for text in orjson.loads(message.errors)]
    return body
