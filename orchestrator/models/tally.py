"""What the processes counted, minute by minute."""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Tally(models.Model):
    """How often something happened (see `measures.py`): figures for people, never the ground of a decision.

    A row belongs to one process, which alone writes it, so no lock is shared. Old rows are folded (`tallies.fold`):
    `process` then names the span that `minute` begins: see `tallies.SPANS`. `type` or `lane` may be empty.
    `seconds` is the sum of what was timed, `buckets` how many fell into each of `measures.BOUNDS`, not cumulative;
    empty for what has no duration.
    """

    pk = models.CompositePrimaryKey("minute", "process", "type", "lane", "event")
    minute = models.DateTimeField()
    process = models.TextField()
    type = models.TextField()
    lane = models.TextField()
    event = models.TextField()
    count = models.BigIntegerField()
    seconds = models.FloatField()
    buckets = ArrayField(models.BigIntegerField())

    def __str__(self) -> str:
        """Say what was counted, and when."""
        return f"{self.event} {self.type} {self.minute:%Y-%m-%d %H:%M}: {self.count}"
