"""Fields that are a number or a text, kept as the JSON text that came. Pure.

In: an object's fields. Out: one of them, taken out of it, or a `Problem` 400 that names it. Called by `bodies.py`.
"""

from typing import Annotated

import msgspec

from orchestrator.api.problems import Problem

LONGEST = 255

_TEXT = msgspec.json.Decoder(str)
_WHOLE = msgspec.json.Decoder(Annotated[float, msgspec.Meta(ge=0, multiple_of=1)])  # 3.0 is whole, too (JSON Schema)
_NUMBER_BEGINS = tuple("-0123456789")


def take(fields: dict[str, msgspec.Raw], name: str, *, longest: int = LONGEST) -> str | None:
    """Take a number or a text of 1 to `longest` characters, as JSON text; None when it isn't there."""
    raw = fields.pop(name, None)
    if raw is None:
        return None
    written = bytes(raw).decode()
    is_text = written.startswith('"')
    value = _TEXT.decode(raw) if is_text else written
    if not (is_text or written.startswith(_NUMBER_BEGINS)) or not 1 <= len(value) <= longest:
        raise Problem(400, f"{name} must be a number, or a text of 1 to {longest} characters", field=name)
    return msgspec.json.encode(value).decode() if is_text else written


def take_text(fields: dict[str, msgspec.Raw], name: str, *, longest: int = LONGEST) -> str | None:
    """Take a text of at most `longest` characters."""
    raw = fields.pop(name, None)
    if raw is None:
        return None
    try:
        value = _TEXT.decode(raw)
    except msgspec.ValidationError as error:
        raise Problem(400, f"{name} must be a text", field=name) from error
    if len(value) > longest:
        raise Problem(400, f"{name} must have at most {longest} characters", field=name)
    return value


def take_duration(fields: dict[str, msgspec.Raw], name: str) -> str | None:
    """Take a number of seconds from 0, as JSON text."""
    raw = fields.pop(name, None)
    if raw is None:
        return None
    written = bytes(raw).decode()
    if not written[0].isdigit() or len(written) > LONGEST:
        raise Problem(400, f"{name} must be a number of seconds from 0", field=name)
    return written


def take_id(fields: dict[str, msgspec.Raw], name: str) -> int | None:
    """Take the id of a state: a whole number from 0."""
    raw = fields.pop(name, None)
    if raw is None:
        return None
    try:
        return int(_WHOLE.decode(raw))
    except msgspec.ValidationError as error:
        raise Problem(400, f"{name} must be a whole number from 0", field=name) from error


def as_text(value: str) -> str:
    """Return what a JSON text says, for comparing: 8 and "8" are the same."""
    return _TEXT.decode(value) if value.startswith('"') else value


def from_path(name: str, text: str) -> str:
    """Return a text of the path as JSON text, held to the same limits as in a body."""
    if not 1 <= len(text) <= LONGEST or "\x00" in text:
        raise Problem(400, f"{name} must be a text of 1 to {LONGEST} characters", field=name)
    return msgspec.json.encode(text).decode()
