"""A request that was begun as a service."""

from django.db import models
from django.db.models import Q

from orchestrator.models.span import Span


class Service(Span):
    """A service begun through the states window; its request is the service to every other window.

    `customer_id` and `contact_key` are JSON text, like `type`. Without a customer it is anonymous.
    """

    request = models.OneToOneField(
        "orchestrator.Request", primary_key=True, on_delete=models.CASCADE, db_constraint=False
    )
    client = models.ForeignKey("orchestrator.Client", on_delete=models.PROTECT, db_constraint=False, db_index=False)
    customer_id = models.TextField(null=True)
    contact_key = models.TextField(null=True)

    class Meta(Span.Meta):
        constraints = [
            *Span.Meta.constraints,
            models.CheckConstraint(
                condition=Q(customer_id__isnull=False) | Q(contact_key__isnull=False), name="service_has_an_owner"
            ),
        ]
        indexes = [
            # states: a customer's services by their start.
            models.Index(
                fields=["client", "customer_id", "started_at"],
                name="service_of_customer",
                condition=Q(customer_id__isnull=False),
            ),
            # states: anonymous services by contact key.
            models.Index(
                fields=["client", "contact_key", "started_at"],
                name="service_anonymous",
                condition=Q(customer_id__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        """Return the service's id."""
        return str(self.pk)
