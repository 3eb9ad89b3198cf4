"""What the work at hand is about, so that every line of the log can say so: the call, its client, the message.

In: what each step knows. Out: fields of log lines. Called by the server's handler, the windows, intake and the worker.

It costs work that logs nothing next to nothing: the worker only points at the message, and its fields are read when a
line is written. Payloads, results and secrets are never among them.
"""

import re
import secrets
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.queue import Claimed

_call: ContextVar[dict[str, Any] | None] = ContextVar("call", default=None)
_message: ContextVar["Claimed | None"] = ContextVar("message", default=None)
_lane: ContextVar[str | None] = ContextVar("lane", default=None)

_PLAIN = re.compile(r"[A-Za-z0-9._:-]{1,100}")
"""What a caller may call its call: nothing that could break a line of a log, or be one of its own."""


def begin_call(given_id: str | None) -> str:
    """Begin an HTTP call in this thread, and return its id: the caller's own where it is plain, else a new one."""
    call_id = given_id if given_id and _PLAIN.fullmatch(given_id) else secrets.token_hex(8)
    _call.set({"call_id": call_id})
    return call_id


def end_call() -> None:
    """Forget the call: the thread's next one is another."""
    _call.set(None)


def note(**fields: Any) -> None:
    """Add what has become known of the call: its client, its request."""
    call = _call.get()
    if call is not None:
        call.update(fields)


@contextmanager
def of_lane(lane: str) -> Iterator[None]:
    """Stand around work on a lane."""
    token = _lane.set(lane)
    try:
        yield
    finally:
        _lane.reset(token)


@contextmanager
def of_message(message: "Claimed") -> Iterator[None]:
    """Stand around work on one message."""
    token = _message.set(message)
    try:
        yield
    finally:
        _message.reset(token)


def add_fields(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put into a log line what is known and the line doesn't say itself; a processor of structlog's."""
    for name, value in _known().items():
        line.setdefault(name, value)
    return line


def _known() -> dict[str, Any]:
    known = dict(_call.get() or {})
    if (lane := _lane.get()) is not None:
        known["lane"] = lane
    if (message := _message.get()) is not None:
        known |= {
            "message_id": str(message.id),
            "request_id": str(message.request_id),
            "client": message.client_id,
            "type": message.type,
        }
    return known
