"""What a service, its states and its external tasks have in common: a beginning, an end, and what was said of them."""

from django.db import models
from django.db.models import F, Q


class Span(models.Model):
    """Something begun and ended through the states window. `type`, `est_duration` and `disposition` are JSON text.

    So a number stays a number and a text a text, as they were sent. `started` and `completed` are objects of JSON text
    with what was given of the event beside its time; `extensions` is one with each extension's value by its name.
    """

    type = models.TextField()
    est_duration = models.TextField(null=True)
    started_at = models.DateTimeField()
    started = models.TextField(default="{}", db_default="{}")
    completed_at = models.DateTimeField(null=True)
    completed = models.TextField(null=True)
    disposition = models.TextField(null=True)
    disposition_desc = models.TextField(null=True)
    extensions = models.TextField(default="{}", db_default="{}")

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(completed_at__isnull=True, completed__isnull=True)
                | Q(completed_at__gte=F("started_at"), completed__isnull=False),
                name="%(class)s_ends_after_its_start",
            ),
        ]
