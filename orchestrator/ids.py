"""The ids that clients send: UUIDs in their canonical form, or nothing that exists. Called by every window."""

import re
import uuid

_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def parse(text: str) -> uuid.UUID | None:
    """Return the UUID (RFC 9562 §4), or None: such an id is answered exactly as one that does not exist."""
    return uuid.UUID(text) if _CANONICAL.fullmatch(text) else None
