"""What a door hands in, and what it gets back. Pure.

In: nothing. Out: the values that the doors and intake hand each other, which `intake` offers under its own name.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from orchestrator.accounts import Account
from orchestrator.lifecycle import ErrorPolicy
from orchestrator.storing import NewRow


class DuplicatePolicy(StrEnum):
    """What becomes of a message whose type and external reference are held by another one."""

    ACCEPT = "accept"
    REJECT = "reject"


class NewMessage(NamedTuple):
    """One message as it was handed in. `payload` is its own fields as JSON text."""

    type: str
    external_reference: str | None
    payload: str


@dataclass(frozen=True, slots=True)
class Submission:
    """What a door hands in: at least one message.

    A message whose own fields don't fit its type is stored as Invalid; with `all_or_nothing` the whole is refused.
    `problems`: what the door has found wrong with single messages, by index; they are not looked at any further.
    """

    account: Account
    door: str
    messages: Sequence[NewMessage]
    batch_reference: str | None = None
    error_policy: ErrorPolicy = ErrorPolicy.HALT
    duplicate_policy: DuplicatePolicy = DuplicatePolicy.ACCEPT
    deadline_seconds: float | None = None
    priority: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)
    traceparent: str | None = None
    replay_of: uuid.UUID | None = None
    all_or_nothing: bool = False
    problems: Mapping[int, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was stored; the messages in the submission's order, with their ids, first statuses, and errors."""

    request_id: uuid.UUID
    received_at: datetime
    messages: Sequence[NewRow]
