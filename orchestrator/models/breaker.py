"""What all worker processes share about a lane's back ends: do they answer, and how fast may they be called?"""

from django.db import models
from django.db.models import Q


class Breaker(models.Model):
    """A lane's circuit breaker, and how its back ends have lately fared (see `breakers.py`). No row: closed.

    `failures` came one after the other, over all processes. `opened_at` is set while the breaker is open; then one
    message is let through from `probe_at` on, and `probing_until` keeps others back while it is out. `held_until`: a
    back end asked all of us to wait.
    """

    lane = models.TextField(primary_key=True)
    failures = models.IntegerField(default=0, db_default=0)
    opened_at = models.DateTimeField(null=True)
    probe_at = models.DateTimeField(null=True)
    probing_until = models.DateTimeField(null=True)
    probes = models.IntegerField(default=0, db_default=0, help_text="probes that failed since it opened")
    held_until = models.DateTimeField(null=True)
    calls = models.BigIntegerField(default=0, db_default=0, help_text="calls that were answered")
    seconds = models.FloatField(default=0.0, db_default=0.0, help_text="what they took together")
    recent_seconds = models.FloatField(null=True, help_text="what one took lately, on average")
    last_answer_at = models.DateTimeField(null=True)
    last_failure_at = models.DateTimeField(null=True)
    last_failure = models.TextField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(opened_at__isnull=False, probe_at__isnull=False)
                | Q(opened_at__isnull=True, probe_at__isnull=True, probing_until__isnull=True),
                name="breaker_probed_exactly_when_open",
            ),
        ]

    def __str__(self) -> str:
        """Return the lane's name."""
        return self.lane


class Bucket(models.Model):
    """The calls that a rate-limited lane has left: `tokens` as of `filled_at`; `next_at`: when there is one again."""

    lane = models.TextField(primary_key=True)
    tokens = models.FloatField()
    filled_at = models.DateTimeField()
    next_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        """Return the lane's name."""
        return self.lane
