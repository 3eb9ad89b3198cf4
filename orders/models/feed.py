"""What clients are told of their finished orders: facts, in an order that never changes."""

from django.db import models
from django.db.models import Q

from orders.models.order import Operation, Order, State


class Feed(models.Model):
    """The last position of a client's events. Its row's lock makes positions gapless, and visible in order."""

    client = models.OneToOneField(
        "orchestrator.Client", primary_key=True, on_delete=models.PROTECT, related_name="order_feed"
    )
    last_position = models.BigIntegerField()

    def __str__(self) -> str:
        """Name the feed."""
        return f"feed of client {self.pk}"


class OrderEvent(models.Model):
    """An order's end, as it was told: inserted once, and never touched again (triggers refuse it)."""

    id = models.UUIDField(primary_key=True)
    client = models.ForeignKey("orchestrator.Client", on_delete=models.PROTECT, related_name="+", db_index=False)
    position = models.BigIntegerField()
    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="event")
    access_id = models.TextField()
    service = models.TextField()
    operation = models.TextField(choices=Operation.choices)
    state = models.TextField(choices=State.choices)
    message = models.TextField()
    happened_at = models.DateTimeField()

    class Meta:
        constraints = [
            # feed.pages: a client's events in their order, read by position.
            models.UniqueConstraint(fields=["client", "position"], name="orderevent_position_once"),
            models.CheckConstraint(condition=Q(position__gte=1), name="orderevent_position_from_one"),
            models.CheckConstraint(
                condition=Q(state__in=[State.DONE_FAILED, State.DONE_SUCCESS]), name="orderevent_state_final"
            ),
        ]

    def __str__(self) -> str:
        """Return the event's id."""
        return str(self.pk)
