"""How far the purge has come."""

from django.db import models


class Purge(models.Model):
    """Up to which finished request an action of `retention.py` has dealt with a message type; `*`: all others."""

    pk = models.CompositePrimaryKey("action", "type")
    action = models.TextField()
    type = models.TextField()
    upto = models.DateTimeField()
    upto_id = models.UUIDField()

    def __str__(self) -> str:
        """Say how far."""
        return f"{self.action} {self.type} up to {self.upto}"
