"""How settings of a form of their own are read: in a moment in which nothing of Django can be imported yet.

In: a variable's text. Out: its value, or a ValidationError that says what it must be and never quotes a secret;
environs adds the variable's name. Called by the settings.
"""

import ipaddress
import math
from base64 import b64decode

import limits
from environs import ValidationError

_DAYS = "must be type=days, type=days: numbers, 0 or more"
_SECRETS = "must be id=key, id=key, no key empty"
_PAYLOAD_KEYS = "must be id=key, id=key: 32 bytes in base64 each, and no colon in an id"


def some(number: float) -> None:
    """Take 1 and more."""
    _at_least(1, number)


def not_negative(number: float) -> None:
    """Take 0 and more."""
    _at_least(0, number)


def _at_least(lowest: int, number: float) -> None:
    if not lowest <= number < math.inf:
        raise ValidationError(f"must be a number, {lowest} or more")


def rate(text: str) -> None:
    """Take a number and a time, such as `600/minute` or `5/5minutes`, or nothing."""
    try:
        limits.parse_many(text or "1/minute")
    except ValueError as malformed:
        raise ValidationError(f"must be a number and a time, as in 600/minute, not {text!r}") from malformed


def network(text: str) -> str:
    """Take an address or a network."""
    try:
        ipaddress.ip_network(text.strip(), strict=False)
    except ValueError as malformed:
        raise ValidationError(f"must be addresses and networks, as in 10.0.0.0/8, not {text!r}") from malformed
    return text.strip()


def days(text: str) -> dict[str, float]:
    """Return days by message type."""
    return {name: _number_of_days(value) for name, value in _pairs(text, malformed=_DAYS)}


def secret_keys(text: str) -> dict[str, str]:
    """Return the server's keys by id."""
    return dict(_pairs(text, malformed=_SECRETS))


def payload_keys(text: str) -> dict[str, bytes]:
    """Return 256-bit keys by id; what a key has sealed begins with its id and a colon."""
    pairs = _pairs(text, malformed=_PAYLOAD_KEYS)
    if any(":" in key_id for key_id, _ in pairs):
        raise ValidationError(_PAYLOAD_KEYS)
    return {key_id: _payload_key(value) for key_id, value in pairs}


def _pairs(text: str, *, malformed: str) -> list[tuple[str, str]]:
    parts = [part.partition("=") for part in text.split(",")] if text.strip() else []
    pairs = [(name.strip(), value.strip()) for name, _, value in parts]
    if not all(name and value for name, value in pairs) or len(dict(pairs)) < len(pairs):
        raise ValidationError(malformed)
    return pairs


def _number_of_days(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValidationError(_DAYS)
    return number


def _payload_key(text: str) -> bytes:
    try:
        key = b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValidationError(_PAYLOAD_KEYS)
    return key
