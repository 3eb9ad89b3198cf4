"""The body of a submission, read and judged.

In: the bytes of a POST to /api/v1/requests or /api/v1/messages/{messageType}. Out: a `Body`, or a `Problem` 400 that
lists what is wrong. Called by `views.py`.

A message's own fields are never turned into Python values here: they stay the text that came.
"""

from dataclasses import dataclass, field, replace
from typing import Annotated, Generic, TypeVar

import msgspec
from django.conf import settings
from msgspec import Meta, Raw
from msgspec.json import Decoder

from orchestrator import json_text
from orchestrator.api.problems import Detail, Problem
from orchestrator.intake import LARGEST_PRIORITY, LONGEST_DEADLINE_SECONDS, DuplicatePolicy, NewMessage
from orchestrator.lifecycle import ErrorPolicy

LONGEST_TEXT = 255
MOST_ERRORS = 100

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Body:
    """What was handed in."""

    batch_reference: str
    error_policy: ErrorPolicy
    duplicate_policy: DuplicatePolicy
    deadline_seconds: float | None
    priority: int
    messages: list[NewMessage]


@dataclass(frozen=True, slots=True)
class _Rule(Generic[_Value]):
    """What one field must be, by msgspec's strict rules: true is not 1, "5" is not 5, null is not absent."""

    name: str
    must_be: str
    decoder: Decoder[_Value]
    fallback: _Value
    mandatory: bool = False


_Text = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
_A_TEXT = f"must be a text of 1 to {LONGEST_TEXT} characters"

_BATCH_REFERENCE = _Rule("batchReference", _A_TEXT, Decoder(_Text), "", mandatory=True)
_ERROR_POLICY = _Rule("errorPolicy", f"must be {' or '.join(ErrorPolicy)}", Decoder(ErrorPolicy), ErrorPolicy.HALT)
_DUPLICATE_POLICY = _Rule(
    "duplicatePolicy", f"must be {' or '.join(DuplicatePolicy)}", Decoder(DuplicatePolicy), DuplicatePolicy.ACCEPT
)
_DEADLINE: _Rule[float | None] = _Rule(
    "deadline",
    f"must be a number of seconds, more than 0 and at most {LONGEST_DEADLINE_SECONDS}",
    Decoder(Annotated[float, Meta(gt=0, le=LONGEST_DEADLINE_SECONDS)]),
    None,
)
_PRIORITY: _Rule[float] = _Rule(
    "priority",
    f"must be a whole number from 0 to {LARGEST_PRIORITY}",
    Decoder(Annotated[float, Meta(ge=0, le=LARGEST_PRIORITY, multiple_of=1)]),  # 3.0 is whole, too (JSON Schema)
    0,
)
_PAYLOAD: _Rule[list[Raw]] = _Rule(
    "payload", "must be a list of messages, at least one", Decoder(Annotated[list[Raw], Meta(min_length=1)]), [], True
)
# Of any length: one that does not exist is refused as such.
_MESSAGE_TYPE = _Rule(
    "messageType", "must be a text, not empty", Decoder(Annotated[str, Meta(min_length=1)]), "", mandatory=True
)
_EXTERNAL_REFERENCE = _Rule("externalReference", _A_TEXT, Decoder(_Text), "", mandatory=True)

_OBJECT = Decoder(dict[str, Raw])
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class _Errors:
    """What is wrong with a body; the first MOST_ERRORS are told."""

    details: list[Detail] = field(default_factory=list)

    def add(self, text: str, *, name: str | None = None, index: int | None = None) -> None:
        self.details.append(Detail(text, field=name, index=index))

    def raise_any(self) -> None:
        if self.details:
            raise Problem(400, "The submission is malformed", details=self.details[:MOST_ERRORS])


def read(raw: bytes, *, message_type: str | None = None) -> Body:
    """Read a submission. `message_type`: that of every message, where the path names it.

    Fields that are not known are ignored. Raises json_text.BadJSON, or a Problem 400 with all that is wrong.
    """
    json_text.check(raw)
    errors = _Errors()
    fields = _read_object(raw)
    if fields is None:
        raise Problem(400, "The body must be a JSON object")
    body = Body(
        batch_reference=_take(_BATCH_REFERENCE, fields, errors),
        error_policy=_take(_ERROR_POLICY, fields, errors),
        duplicate_policy=_take(_DUPLICATE_POLICY, fields, errors),
        deadline_seconds=_take(_DEADLINE, fields, errors),
        priority=int(_take(_PRIORITY, fields, errors)),
        messages=_read_messages(_take(_PAYLOAD, fields, errors), errors, message_type),
    )
    errors.raise_any()
    return body


def _read_messages(items: list[Raw], errors: _Errors, message_type: str | None) -> list[NewMessage]:
    most = settings.WAYBILL_MAX_MESSAGES
    if len(items) > most:
        errors.add(f"payload must be a list of at most {most} messages, not {len(items)}", name="payload")
        return []
    type_rule = _MESSAGE_TYPE
    if message_type is not None:
        type_rule = replace(_MESSAGE_TYPE, fallback=message_type, mandatory=False)
    messages = []
    for index, item in enumerate(items):
        fields = _read_object(item)
        if fields is None:
            errors.add("A message must be a JSON object", name="payload", index=index)
        else:
            messages.append(_read_message(fields, type_rule, errors, index))
        if len(errors.details) >= MOST_ERRORS:
            break
    return messages


def _read_message(fields: dict[str, Raw], type_rule: _Rule[str], errors: _Errors, index: int) -> NewMessage:
    """Take the two fields that are ours; the others are the message's own."""
    of_type = _take(type_rule, fields, errors, index)
    if not type_rule.mandatory and of_type != type_rule.fallback:
        errors.add(f"messageType must be {type_rule.fallback}, as in the path", name="messageType", index=index)
    reference = _take(_EXTERNAL_REFERENCE, fields, errors, index)
    return NewMessage(of_type, reference, _ENCODER.encode(fields).decode())


def _read_object(raw: bytes | Raw) -> dict[str, Raw] | None:
    """Return an object's fields as text, by name (of a name that comes twice the last one counts); None for others."""
    try:
        return _OBJECT.decode(raw)
    except msgspec.ValidationError:
        return None


def _take(rule: _Rule[_Value], fields: dict[str, Raw], errors: _Errors, index: int | None = None) -> _Value:
    """Take a field out of an object; what is wrong with it is noted, and then its fallback serves as well as any."""
    raw = fields.pop(rule.name, None)
    if raw is None:
        if rule.mandatory:
            errors.add(f"{rule.name} is missing", name=rule.name, index=index)
        return rule.fallback
    try:
        return rule.decoder.decode(raw)
    except msgspec.ValidationError:
        errors.add(f"{rule.name} {rule.must_be}", name=rule.name, index=index)
        return rule.fallback
