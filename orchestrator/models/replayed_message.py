"""Which message is a copy of which: what failed, and was handed in anew."""

from django.db import models


class ReplayedMessage(models.Model):
    """A copy and its original, linked both ways. The original's final status stays as it is.

    Written in the transaction that stores the copy, under the one lock of all replays (replaying.py).
    """

    copy_id = models.UUIDField(primary_key=True)
    copy_request_id = models.UUIDField()
    original_id = models.UUIDField()
    original_request_id = models.UUIDField()

    class Meta:
        indexes = [
            # replaying, and the desk: was this replayed already, and where to?
            models.Index(fields=["original_request_id", "original_id"], name="replayed_originals"),
            # The desk: where do a request's messages come from?
            models.Index(fields=["copy_request_id"], name="replayed_copies"),
        ]

    def __str__(self) -> str:
        """Name both."""
        return f"{self.copy_id}, a copy of {self.original_id}"
