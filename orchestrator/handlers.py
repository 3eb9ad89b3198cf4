"""What a handler is, and which message types there are.

In: registrations from the apps' `ready()`, and the `Backend` rows of the ledger. Out: `MessageType`s by name.
Called by intake (may this be sent?), processing (how is it carried out?) and the commands.
"""

import dataclasses
import math
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypedDict, TypeVar, Unpack

import django.db
import pydantic
import structlog
from django.conf import settings

from orchestrator import retries, schemas
from orchestrator.limits import NO_LIMITS, Limits

_log = structlog.get_logger(__name__)


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
    limits: Limits = NO_LIMITS

    @property
    def lane_name(self) -> str:
        """The lane its messages wait in: its own, named after it, unless told otherwise."""
        return self.lane or self.name

    @property
    def concurrent(self) -> bool:
        """Whether its messages run many at once on the event loop."""
        return self.kind in {Kind.ASYNC, Kind.HTTP}


class Options(TypedDict, total=False):
    """What a company's own handler may say about its type; whatever it leaves out, the house's settings decide."""

    lane: str
    timeout: float  # seconds for one call
    attempts: int
    backoff: tuple[float, float]  # seconds: the first wait, and the ceiling that doubling stops at
    schema: type[pydantic.BaseModel] | dict[str, Any]  # of the message's own fields; a dict is JSON Schema
    mandatory: bool


_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def plain(name: str, **options: Unpack[Options]) -> Callable[[_Handler], _Handler]:
    """Make a function the handler of message type `name`: called with one `Work`, in order, in a thread."""
    return _declare(name, Kind.PLAIN, options)


def asynchronous(name: str, **options: Unpack[Options]) -> Callable[[_Handler], _Handler]:
    """Make a coroutine function the handler of message type `name`: called with one `Work`, many at once."""
    return _declare(name, Kind.ASYNC, options)


def batch(name: str, **options: Unpack[Options]) -> Callable[[_Handler], _Handler]:
    """Make a function the handler of message type `name`: called with a list of `Work`, returns as many results."""
    return _declare(name, Kind.BATCH, options)


def _declare(name: str, kind: Kind, options: Options) -> Callable[[_Handler], _Handler]:
    """Register what a decorator stands on, and leave the function itself as it is."""

    def declare(handler: _Handler) -> _Handler:
        register(
            MessageType(
                name=name,
                kind=kind,
                handler=handler,
                lane=options.get("lane", ""),
                timeout=options.get("timeout", 30.0),
                policy=_policy(options),
                schema=_schema(options.get("schema")),
                mandatory=options.get("mandatory", False),
            )
        )
        return handler

    return declare


def _policy(options: Options) -> retries.Policy:
    policy = retries.Policy.from_settings(attempts=options.get("attempts"))
    first, ceiling = options.get("backoff", (policy.first, policy.ceiling))
    return dataclasses.replace(policy, first=first, ceiling=ceiling)


def _schema(declared: type[pydantic.BaseModel] | dict[str, Any] | None) -> schemas.PayloadSchema | None:
    if declared is None:
        return None
    if isinstance(declared, dict):
        return schemas.from_json_schema(declared)
    return schemas.from_model(declared)


Source = Callable[[], Mapping[str, MessageType]]
"""Where types that are kept in the ledger come from: reads them all; raises `django.db.Error` when it is away."""


class Registry:
    """The types declared in code, and those of a source that is asked at most once a period.

    While the source is away, its last known types go on serving. One thread asks; the others wait for it, but never
    long: a lock on the source's table must not stand every door still.
    """

    WAIT = 1.0  # seconds

    def __init__(self) -> None:
        """Begin empty."""
        self._declared: dict[str, MessageType] = {}
        self._source: Source | None = None
        self._stored: Mapping[str, MessageType] | None = None
        self._asked_at = -math.inf
        self._asking = threading.Lock()

    def register(self, message_type: MessageType) -> None:
        """Add a type declared in code. Raise ValueError when there is one of that name."""
        if self._declared.setdefault(message_type.name, message_type) is not message_type:
            raise ValueError(f"message type {message_type.name!r} is registered twice")

    def follow(self, source: Source) -> None:
        """Take more types from `source`."""
        self._source = source

    def expire(self) -> None:
        """Ask the source again at the next look."""
        self._asked_at = -math.inf

    def find(self, name: str) -> MessageType | None:
        """Return the type of that name, the stored one first."""
        stored = self._current().get(name)
        declared = self._declared.get(name)
        return _overlay(stored, declared) if stored and declared else stored or declared

    def names(self) -> set[str]:
        """Return the names of all types."""
        return {*self._declared, *self._current()}

    def _current(self) -> Mapping[str, MessageType]:
        """Return the stored types, at most a period old while the source answers."""
        if self._source is None:
            return {}
        stored = self._stored
        if stored is not None and self._is_fresh():
            return stored
        if not self._asking.acquire(timeout=self.WAIT):
            if stored is None:
                raise django.db.OperationalError("the stored message types could not be read yet")
            return stored
        try:
            if self._stored is None or not self._is_fresh():
                self._stored = self._ask(self._source)
            return self._stored
        finally:
            self._asking.release()

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._asked_at < settings.WAYBILL_TYPES_CACHE_SECONDS

    def _ask(self, source: Source) -> Mapping[str, MessageType]:
        """Read the source. What was never known is not empty: the first failure is the caller's to see."""
        try:
            stored = source()
        except django.db.Error as error:
            if self._stored is None:
                raise
            _log.warning("the stored message types could not be read; the last known go on serving", error=str(error))
            stored = self._stored
        self._asked_at = time.monotonic()
        return stored


def _overlay(stored: MessageType, declared: MessageType) -> MessageType:
    """Let a stored type carry a declared one's work out: its doors hold, and its schema unless it brought its own."""
    return dataclasses.replace(
        stored,
        schema=stored.schema or declared.schema,
        mandatory=stored.mandatory or declared.mandatory,
        doors=declared.doors,
    )


registry = Registry()


def register(message_type: MessageType) -> None:
    """Make a type known, from an app's `ready()`. Raise ValueError when there is one of that name."""
    registry.register(message_type)


def find(name: str) -> MessageType | None:
    """Return the type of that name; a `Backend` row of the same name wins over a handler in code.

    May read the ledger (at most once per WAYBILL_TYPES_CACHE_SECONDS, so not from an event loop); raises
    `django.db.Error` when it is away and was never read.
    """
    return registry.find(name)


def catalogue() -> dict[str, MessageType]:
    """Return all types by name, sorted. Reads like `find`."""
    found = {name: registry.find(name) for name in sorted(registry.names())}
    return {name: message_type for name, message_type in found.items() if message_type}
