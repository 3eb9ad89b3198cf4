"""Who did what to which object, when, and from where."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class AuditAction(models.TextChoices):
    """What an operator can do."""

    LOG_IN = "log in"
    LOG_OUT = "log out"
    ADD = "add"
    CHANGE = "change"
    DELETE = "delete"
    MAKE_SECRET = "make a secret"  # noqa: S105 - an action's name
    ROTATE_SECRET = "rotate secrets"  # noqa: S105
    CANCEL = "cancel"
    REPLAY = "replay"
    PAUSE = "pause"
    RESUME = "resume"
    DRAIN = "drain"
    UNDRAIN = "put back to work"
    TEST_CALL = "test call"


class AuditOutcome(models.TextChoices):
    """What came of it."""

    DONE = "done"
    REFUSED = "refused"


class AuditEntry(models.Model):
    """One deed of an operator, or the attempt. Triggers refuse to change or delete it; it outlives user and object.

    `actor` is a name at the time, `actor_id` the user's key (null: the command line, or who is not logged in).
    `detail` never holds a secret or a payload.
    """

    at = models.DateTimeField(db_default=Now(), editable=False)
    actor = models.TextField()
    actor_id = models.BigIntegerField(null=True)
    action = models.TextField()
    object_type = models.TextField()
    object_id = models.TextField()
    outcome = models.TextField(choices=AuditOutcome.choices)
    detail = models.JSONField(default=dict, db_default={})
    ip = models.GenericIPAddressField(null=True)

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(condition=Q(outcome__in=sorted(AuditOutcome.values)), name="audit_outcome_known"),
        ]
        indexes = [
            # The desk's filters and its search, each newest first: ids ascend with time.
            models.Index(fields=["actor", "-id"], name="audit_actor"),
            models.Index(fields=["action", "-id"], name="audit_action"),
            models.Index(fields=["object_id", "-id"], name="audit_object"),
            models.Index(fields=["at"], name="audit_at"),
            models.Index(fields=["-id"], name="audit_refused", condition=Q(outcome=AuditOutcome.REFUSED)),
        ]

    def __str__(self) -> str:
        """Say what it was."""
        return f"{self.actor}: {self.action} {self.object_type} {self.object_id} ({self.outcome})"
