"""The trace that a request belongs to (W3C Trace Context, level 1).

In: the `traceparent` header of a POST. Out: the header to hand on to back ends. Called by the doors, drafting
and flows.
"""

import re
import secrets
import uuid

_FORM = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-[0-9a-f]{2}(?P<more>-.*)?"
)
_LONGEST = 255


def read(header: str | None) -> str | None:
    """Return the header if it is valid (§3.2.2), else None: an invalid one is ignored."""
    if header is None or len(header) > _LONGEST:
        return None
    found = _FORM.fullmatch(header.strip(" \t"))
    if not found or found["version"] == "ff" or (found["version"] == "00" and found["more"]):
        return None
    if not int(found["trace"], 16) or not int(found["parent"], 16):
        return None
    return found[0]


def begin(request_id: uuid.UUID) -> str:
    """Begin a trace for a request that came with none. Its id is the Request-Id, so the one leads to the other."""
    return f"00-{request_id.hex}-{secrets.token_hex(8)}-00"
