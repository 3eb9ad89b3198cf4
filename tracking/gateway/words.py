"""What the Gateway documents call things: statuses, and the key under which a message's id stands. Pure."""

import re
from functools import lru_cache

from orchestrator.lifecycle import EXTERNAL_DOOR, Status

STATUSES: dict[str, Status] = {
    **{status.value: status for status in Status},
    "Processed": Status.PROCESSING,  # the tracking document's other word
}
"""The words that a search may use, exact in case, and the ledger's statuses. Answers use the first six."""

_BETWEEN_WORDS = re.compile(r"[\W_]+")


def request_status(*, door: str, ended: bool, counts: dict[Status, int]) -> Status:
    """Return the `requestStatus` of a whole request from how many of its messages are in each status.

    A service is over when its owner ends it, whatever its messages are.
    """
    if door == EXTERNAL_DOOR:
        return Status.COMPLETE if ended else Status.PROCESSING
    carried_out = counts[Status.COMPLETE] + counts[Status.FAILED]
    if counts[Status.PROCESSING] or (counts[Status.QUEUED] and carried_out):
        return Status.PROCESSING
    if counts[Status.QUEUED]:
        return Status.QUEUED
    return Status.CANCELLED if counts[Status.CANCELLED] and not carried_out else Status.COMPLETE


@lru_cache(maxsize=1024)
def id_key(message_type: str) -> str:
    """Return the key of a message's id: `opportunityId` for Opportunity, `deskproFeedbackId` for deskpro-feedback."""
    first, *others = [word for word in _BETWEEN_WORDS.split(message_type) if word] or [""]
    return first[:1].lower() + first[1:] + "".join(word[:1].upper() + word[1:] for word in others) + "Id"
