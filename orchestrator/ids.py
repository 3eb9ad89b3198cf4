"""Ids: UUIDs that we make, and those that clients send, which are canonical or belong to nothing.

In: a moment, an id, or a text. Out: an id, its moment, or None. Called by whoever stores what has an id, and by every
window.
"""

import re
import uuid

import uuid_utils

_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_BITS_BELOW_MILLISECONDS = 80
_NANOSECONDS = 1_000_000


def make(*, at: int | None = None) -> uuid.UUID:
    """Make a UUIDv7 (RFC 9562 §5.7) of now, or of the moment `at`: nanoseconds since 1970.

    Those of one moment are in no order.
    """
    return uuid.UUID(bytes=uuid_utils.uuid7(nanoseconds=at).bytes)


def moment(made: uuid.UUID) -> int:
    """Return the moment of a UUIDv7, to the millisecond, in nanoseconds since 1970."""
    return (made.int >> _BITS_BELOW_MILLISECONDS) * _NANOSECONDS


def parse(text: str) -> uuid.UUID | None:
    """Return the UUID (RFC 9562 §4), or None: such an id is answered exactly as one that does not exist."""
    return uuid.UUID(text) if _CANONICAL.fullmatch(text) else None
