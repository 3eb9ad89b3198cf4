"""What the work at hand is about, so that every line of the log can say so: the call, its client, the message.

In: what each step knows. Out: fields of log lines. Called by the server's handler, the windows, drafting, the worker.

It costs work that logs nothing next to nothing: the worker only points at the message, and its fields are read when a
line is written. Payloads, results and secrets are never among them.
"""

import re
import secrets
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.queue import Claimed

_call: ContextVar[dict[str, Any] | None] = ContextVar("call", default=None)
message: ContextVar["Claimed | None"] = ContextVar("message", default=None)
"""The message whose handler runs here; set by `tracing.working`."""
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


_clients: dict[int, str] = {}
_unknown: set[int] = set()


def name_client(key: int) -> str:
    """Return a client's id by its key in the ledger; `#12` while its name is not known here."""
    if (name := _clients.get(key)) is None:
        _unknown.add(key)
        return f"#{key}"
    return name


def unnamed() -> set[int]:
    """Return the clients that were met without a name."""
    return _unknown.copy()


def learn(names: Mapping[int, str]) -> None:
    """Take in the names of clients."""
    _clients.update(names)
    _unknown.difference_update(names)


def add_fields(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put into a log line what is known and the line doesn't say itself; a processor of structlog's."""
    for name, value in _known().items():
        line.setdefault(name, value)
    return line


def _known() -> dict[str, Any]:
    known: dict[str, Any] = {name: str(value) for name, value in (_call.get() or {}).items()}
    if (lane := _lane.get()) is not None:
        known["lane"] = lane
    if (worked_on := message.get()) is not None:
        known |= {
            "message_id": str(worked_on.id),
            "request_id": str(worked_on.request_id),
            "client": name_client(worked_on.client_id),
            "type": worked_on.type,
        }
    return known
