"""Accesses, and the services that can be ordered on them."""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

ACCESS_ID = r"[a-zA-Z0-9]{1,32}"
SERVICE = r"(?!\s)[^:\x00-\x1f\x7f]{1,255}(?<!\s)"
SERVICE_TYPE = r"(?!\s)[^\x00-\x1f\x7f]{1,255}(?<!\s)"


class Access(models.Model):
    """One connection into a building, as the network's owner calls it."""

    id = models.TextField(
        primary_key=True, validators=[RegexValidator(rf"\A{ACCESS_ID}\Z", "1 to 32 letters and digits (a-z, A-Z, 0-9)")]
    )

    class Meta:
        verbose_name_plural = "accesses"
        constraints = [models.CheckConstraint(condition=Q(id__regex=f"^{ACCESS_ID}$"), name="access_id_is_plain")]

    def __str__(self) -> str:
        """Return the accessId."""
        return self.pk


class AccessService(models.Model):
    """A service that can be ordered on an access. `holder` is the client it is active for; null: it is not active.

    That no two of one type are active on an access is placing's to see to, not a constraint's: what the network has
    done is a fact, and must be recorded.
    """

    access = models.ForeignKey(Access, on_delete=models.CASCADE, related_name="services", db_index=False)
    service = models.TextField(
        validators=[RegexValidator(rf"\A{SERVICE}\Z", "1 to 255 printable characters, no colon")]
    )
    service_type = models.TextField(
        validators=[RegexValidator(rf"\A{SERVICE_TYPE}\Z", "1 to 255 printable characters")]
    )
    holder = models.ForeignKey(
        "orchestrator.Client", null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta:
        constraints = [
            # placing: the services of an access; effects: the one that an order is for.
            models.UniqueConstraint(fields=["access", "service"], name="access_service_once"),
        ]

    def __str__(self) -> str:
        """Name the service and its access."""
        return f"{self.service} on {self.access_id}"
