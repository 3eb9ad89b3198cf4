"""Who calls the API, what it may do, and the secrets it proves itself with."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Scope(models.TextChoices):
    """What a client may do; the words of the token's `scope`."""

    REQUESTS_WRITE = "requests:write"
    TRACKING_READ = "tracking:read"
    SERVICES_READ = "services:read"
    SERVICES_WRITE = "services:write"
    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"


class Client(models.Model):
    """An account. `scopes` and `types` are null for "all, now and later": never a copied list."""

    client_id = models.TextField(unique=True)
    name = models.TextField()
    feed_id = models.UUIDField(default=uuid.uuid4, unique=True)
    scopes = ArrayField(models.TextField(choices=Scope.choices), null=True, blank=True)
    types = ArrayField(models.TextField(), null=True, blank=True)
    max_in_flight = models.PositiveIntegerField(null=True, blank=True)
    rate_limit = models.TextField(
        null=True, blank=True, help_text="calls it may make, as in 600/minute; unlimited; empty: WAYBILL_CLIENT_RATE"
    )
    enabled = models.BooleanField(default=True, db_default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        """Return the id that the client itself uses."""
        return self.client_id


class ClientSecret(models.Model):
    """One of a client's secrets: several are valid at once, so that they can be rotated without a gap.

    `digest` is HMAC-SHA256 of the secret under the server's key `key_id`: the secret has 256 random bits, so a
    slow password hash would protect nothing and cost more than the call that it guards.
    """

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="secrets")
    key_id = models.TextField()
    digest = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        """Name the secret without telling it."""
        return f"secret {self.pk} of client {self.client_id}"
