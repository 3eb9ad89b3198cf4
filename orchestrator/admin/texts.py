"""A message's payload or result as the desk shows it.

In: the text that the ledger keeps, or its beginning. Out: text for a page. Called by the requests' and messages' pages.
"""

import uuid
from collections.abc import Sequence

from orchestrator import masking, payloads
from orchestrator.payloads import Part

CLEARED = "cleared: its days are over"
_ENCRYPTED = "not shown: encrypted, and too long to be decrypted in part"
_NO_KEY = "not shown: encrypted with a key that is not here"


def show(kept: str | None, *, length: int | None, message_id: uuid.UUID, part: Part, masked: Sequence[str]) -> str:
    """Return the text decrypted, indented, masked and bounded; `length` is the whole text's as it is kept."""
    if kept is None:
        return ""
    if not kept:
        return CLEARED
    if not payloads.is_sealed(kept):
        return masking.show(kept, length=length, masked=masked)
    if length is not None and length > len(kept):
        return _ENCRYPTED
    try:
        return masking.show(payloads.reveal(kept, message_id=message_id, part=part), masked=masked)
    except payloads.Unreadable:
        return _NO_KEY
