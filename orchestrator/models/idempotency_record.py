"""The first answer to a POST that carried an Idempotency-Key."""

from django.db import models
from django.db.models.functions import Now


class IdempotencyRecord(models.Model):
    """One key of one client on one method and path, with the answer that it was given.

    `fingerprint` is SHA-256 of the canonical JSON value of the body.
    """

    client_id = models.BigIntegerField()
    key = models.TextField()
    route = models.TextField(help_text="method and path")
    fingerprint = models.BinaryField(max_length=32)
    request_id = models.UUIDField(null=True)
    status = models.PositiveSmallIntegerField()
    headers = models.JSONField()
    body = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["client_id", "route", "key"], name="idempotency_key_once"),
        ]
        indexes = [
            # The purge of keys older than 24 hours.
            models.Index(fields=["created_at"], name="idempotency_age"),
        ]

    def __str__(self) -> str:
        """Name the call that the key belongs to."""
        return f"{self.route} {self.key}"
