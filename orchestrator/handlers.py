"""What a handler is, and which message types there are.

In: registrations from the apps' `ready()`, and the `Backend` rows of the ledger. Out: `MessageType`s by name.
Called by intake (may this be sent?), processing (how is it carried out?) and the commands.
"""

import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from django.conf import settings

from orchestrator import retries, schemas


class Kind(Enum):
    """How a handler wants to be called."""

    PLAIN = "plain"  # one message, in order, in a thread
    ASYNC = "async"  # one message, a coroutine, many at once
    BATCH = "batch"  # the whole list of a claim's messages of this type
    HTTP = "http"  # a back end: our own coroutine, many at once


class Rejected(Exception):
    """The business said no. The text is for the client; the message becomes Failed, rejected, and is not retried."""


class RetryLater(Exception):
    """Try again, at the earliest after `after` seconds (None: by the type's backoff)."""

    def __init__(self, text: str, *, after: float | None = None) -> None:
        """Keep the reason for the log and the wish for the next try."""
        super().__init__(text)
        self.after = after


class TooSlow(Exception):
    """The work took longer than its timeout: retried like a failure, kind `timeout` if it was the last try."""


class UnknownType(Exception):
    """No message type of that name exists."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a handler is given: one message. `payload` is its own fields as JSON text; `fields()` parses them."""

    id: uuid.UUID
    request_id: uuid.UUID
    client_id: int
    type: str
    external_reference: str | None
    payload: str
    attempt: int
    traceparent: str | None = None

    def fields(self) -> Any:
        """Parse the message's own fields."""
        return schemas.parse(self.payload)


PlainHandler = Callable[[Work], Any]
AsyncHandler = Callable[[Work], Awaitable[Any]]
BatchHandler = Callable[[Sequence[Work]], Sequence[Any]]
"""A batch handler returns one result a message, in order; an exception in place of a result is that message's."""


@dataclass(frozen=True, slots=True)
class JSONText:
    """A result that is JSON text already: recorded as it is, not encoded again."""

    text: str


@dataclass(frozen=True, slots=True)
class MessageType:
    """One message type: who carries it out, in which lane, how patiently, and what its payload must look like."""

    name: str
    kind: Kind
    handler: Callable[..., Any]
    lane: str = ""
    timeout: float = 30.0
    policy: retries.Policy = field(default_factory=retries.Policy.from_settings)
    schema: schemas.PayloadSchema | None = None
    mandatory: bool = False
    doors: frozenset[str] | None = None  # None: every door

    @property
    def lane_name(self) -> str:
        """The lane its messages wait in: its own, named after it, unless told otherwise."""
        return self.lane or self.name

    @property
    def concurrent(self) -> bool:
        """Whether its messages run many at once on the event loop."""
        return self.kind in {Kind.ASYNC, Kind.HTTP}
