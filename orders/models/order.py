"""What was ordered, and what came of it."""

from django.db import models
from django.db.models import Q


class Operation(models.TextChoices):
    """What an order asks of the network."""

    ACTIVATE = "ACTIVATE"
    DEACTIVATE = "DEACTIVATE"


class State(models.TextChoices):
    """Where an order is, in the order events document's words."""

    RECEIVED = "RECEIVED"
    DONE_SUCCESS = "DONE_SUCCESS"
    DONE_FAILED = "DONE_FAILED"


class Order(models.Model):
    """An accepted order. Its id is its request's; access and service are kept as they were ordered.

    The state is a fact of this business, written once, in the transaction of the message's outcome; a trigger holds it.
    """

    id = models.UUIDField(primary_key=True)
    client = models.ForeignKey("orchestrator.Client", on_delete=models.PROTECT, related_name="+", db_index=False)
    access_id = models.TextField()
    service = models.TextField()
    operation = models.TextField(choices=Operation.choices)
    forced_takeover = models.BooleanField(default=False, db_default=False)
    sp_reference = models.TextField(null=True)
    state = models.TextField(choices=State.choices, default=State.RECEIVED, db_default=State.RECEIVED)
    message = models.TextField(default="", db_default="")
    received_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            # placing: whether one is open; two at once would meet here at the latest.
            models.UniqueConstraint(
                fields=["access_id", "service"], name="order_open_once", condition=Q(state=State.RECEIVED)
            ),
            models.CheckConstraint(condition=Q(state__in=sorted(State.values)), name="order_state_known"),
            models.CheckConstraint(
                condition=Q(state=State.RECEIVED, finished_at__isnull=True)
                | (~Q(state=State.RECEIVED) & Q(finished_at__isnull=False)),
                name="order_finished_exactly_when_final",
            ),
        ]

    def __str__(self) -> str:
        """Return the order's id."""
        return str(self.pk)
