"""The worker processes that are alive, and what each has leased."""

from django.db import models
from django.db.models.functions import Now


class Worker(models.Model):
    """One worker process. Its row is made when it is ready and deleted when it stops or is long silent.

    `draining` is what an operator told it, `resting` what it says itself: it has heard, and claims no more.
    """

    id = models.UUIDField(primary_key=True)
    host = models.TextField()
    pid = models.PositiveIntegerField()
    queues = models.JSONField(default=list)
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    draining = models.BooleanField(default=False, db_default=False)
    resting = models.BooleanField(default=False, db_default=False)

    class Meta:
        permissions = [("drain_worker", "Can drain a worker")]

    def __str__(self) -> str:
        """Say where the process runs."""
        return f"{self.host}:{self.pid}"


class Claim(models.Model):
    """Messages leased to one worker process until it reports or is lost.

    The lease is the claim's, so renewing touches one row however many messages it holds. `suspected_at` is the
    first of recovery's two looks; a renewal clears it. `alone`: the claim of one suspect, run with nothing beside it.
    """

    worker_id = models.UUIDField()
    lane = models.TextField()
    alone = models.BooleanField(default=False, db_default=False)
    leased_until = models.DateTimeField()
    suspected_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            # recovery.forget_silent_workers: does a worker hold anything?
            models.Index(fields=["worker_id"], name="claim_worker"),
        ]

    def __str__(self) -> str:
        """Name the claim and its lane."""
        return f"claim {self.pk} on {self.lane}"
