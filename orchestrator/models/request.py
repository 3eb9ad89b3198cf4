"""One accepted submission, with its counters."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from orchestrator.lifecycle import ErrorPolicy, StopReason


class Request(models.Model):
    """One accepted submission. The counters add up at every commit: the database checks it.

    `attributes` are what a door keeps for itself; `types` are the message types it holds, sorted.
    """

    id = models.UUIDField(primary_key=True)
    client = models.ForeignKey("orchestrator.Client", on_delete=models.PROTECT, db_constraint=False, db_index=False)
    door = models.TextField()
    batch_reference = models.TextField(null=True)
    error_policy = models.TextField(choices=[(policy, policy) for policy in ErrorPolicy])
    attributes = models.JSONField(default=dict, db_default={})
    types = ArrayField(models.TextField())
    traceparent = models.TextField(null=True)
    received_at = models.DateTimeField()
    deadline_at = models.DateTimeField(null=True)
    stopped_at = models.DateTimeField(null=True)
    stop_reason = models.TextField(null=True, choices=[(reason, reason) for reason in StopReason])
    completed_at = models.DateTimeField(null=True)
    replay_of = models.UUIDField(null=True)

    total = models.IntegerField()
    open = models.IntegerField()
    complete = models.IntegerField(default=0, db_default=0)
    failed = models.IntegerField(default=0, db_default=0)
    invalid = models.IntegerField(default=0, db_default=0)
    cancelled = models.IntegerField(default=0, db_default=0)

    class Meta:
        permissions = [
            ("cancel_request", "Can cancel a request"),
            ("replay_request", "Can replay failed messages"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(total=F("open") + F("complete") + F("failed") + F("invalid") + F("cancelled")),
                name="request_counters_add_up",
            ),
            models.CheckConstraint(
                condition=Q(open__gte=0, complete__gte=0, failed__gte=0, invalid__gte=0, cancelled__gte=0),
                name="request_counters_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(stopped_at__isnull=True, stop_reason__isnull=True)
                | Q(stopped_at__isnull=False, stop_reason__isnull=False),
                name="request_stop_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(completed_at__isnull=True) | Q(open=0),
                name="request_completed_has_none_open",
            ),
        ]
        indexes = [
            # tracking: a client's requests by day, newest first; ties by id.
            models.Index(fields=["client", "-received_at", "-id"], name="request_received"),
            # tracking: by batch reference.
            models.Index(
                fields=["client", "batch_reference"],
                name="request_batch_reference",
                condition=Q(batch_reference__isnull=False),
            ),
            # intake: the bounded count of a client's open requests; the desk: the open ones, newest first.
            models.Index(fields=["client", "id"], name="request_open", condition=Q(open__gt=0)),
            # The desk: those with failures, and those that were stopped, newest first.
            models.Index(fields=["client", "id"], name="request_with_failures", condition=Q(failed__gt=0)),
            models.Index(fields=["client", "id"], name="request_stopped", condition=Q(stopped_at__isnull=False)),
            # retention: finished requests in the order of their ends.
            models.Index(
                fields=["completed_at", "id"], name="request_completed", condition=Q(completed_at__isnull=False)
            ),
            # recovery: deadlines that have passed.
            models.Index(
                fields=["deadline_at"],
                name="request_deadline",
                condition=Q(deadline_at__isnull=False, stopped_at__isnull=True, open__gt=0),
            ),
        ]

    def __str__(self) -> str:
        """Return the Request-Id."""
        return str(self.pk)
