"""What is told of a service and its stages: how something begins, how it ends, whose it is. Pure.

In: nothing. Out: the values that the states window hands to flows. Called by both.

Types, durations, dispositions and owners are JSON text: a number that was sent stays a number, a text a text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

import msgspec

Extensions = Mapping[str, msgspec.Raw]


class Kind(Enum):
    """What can be begun and ended."""

    SERVICE = auto()
    STATE = auto()
    TASK = auto()


@dataclass(frozen=True, slots=True)
class Stage:
    """A service itself, or a state or a task of it by its number."""

    kind: Kind
    number: int | None = None


SERVICE = Stage(Kind.SERVICE)


@dataclass(frozen=True, slots=True)
class Event:
    """A beginning or an end. `at` None: now. `fields`: what else was given of it, an object of JSON text."""

    at: datetime | None = None
    fields: str = "{}"


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a service, state or task begins; `est_duration` is in seconds."""

    type: str
    est_duration: str | None = None
    event: Event = Event()
    extensions: Extensions = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ending:
    """How one ends."""

    disposition: str | None = None
    disposition_desc: str | None = None
    event: Event = Event()
    extensions: Extensions = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose service it is: a customer's, or nobody's known as yet, to be found again by a contact key."""

    customer_id: str | None
    contact_key: str | None


@dataclass(frozen=True, slots=True)
class Update:
    """What is told anew when a service gets its customer; None, and no extensions, leave what is there."""

    type: str | None = None
    est_duration: str | None = None
    event: Event | None = None
    extensions: Extensions = field(default_factory=dict)
