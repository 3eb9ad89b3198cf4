"""The HTTP services that carry out message types."""

from django.db import models
from django.db.models.functions import Now


class Backend(models.Model):
    """A message type that is an HTTP service. `headers` hold secrets, so they are kept encrypted (`sealing.py`)."""

    message_type = models.TextField(primary_key=True)
    url = models.TextField()
    timeout_seconds = models.FloatField(default=30.0, db_default=30.0)
    attempts = models.PositiveSmallIntegerField(default=5, db_default=5)
    lane = models.TextField(blank=True, default="", db_default="", help_text="empty: the type's own lane")
    concurrency = models.PositiveIntegerField(null=True, blank=True, help_text="calls in flight, of all workers")
    rate = models.FloatField(null=True, blank=True, help_text="calls a second, of all workers")
    burst = models.PositiveIntegerField(null=True, blank=True, help_text="calls at once; empty: a fifth of a second's")
    breaker = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="failures in a row that open the breaker; 0: never; empty: as the house"
    )
    mandatory = models.BooleanField(default=False, db_default=False)
    headers_sealed = models.BinaryField(null=True, editable=False)
    schema = models.JSONField(null=True, blank=True, help_text="JSON Schema of the message's own fields")
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        permissions = [("call_backend", "Can make a test call")]
        constraints = [
            models.CheckConstraint(condition=models.Q(timeout_seconds__gt=0), name="backend_timeout_positive"),
            models.CheckConstraint(condition=models.Q(attempts__gte=1), name="backend_attempts_positive"),
            models.CheckConstraint(
                condition=(models.Q(concurrency__isnull=True) | models.Q(concurrency__gte=1))
                & (models.Q(rate__isnull=True) | models.Q(rate__gt=0))
                & (models.Q(burst__isnull=True) | models.Q(burst__gte=1)),
                name="backend_limits_positive",
            ),
        ]

    def __str__(self) -> str:
        """Return the message type that it serves."""
        return self.message_type
