"""The named lines in which messages wait, and each client's place in them."""

from django.core.validators import RegexValidator
from django.db import models

# Brokers differ in what else they take; `-Q` divides at commas.
_QUEUE_NAME = RegexValidator(r"\A[A-Za-z0-9_.:-]{1,200}\Z", "a queue's name has letters, digits and _ . : - only")


class Lane(models.Model):
    """A line of waiting messages. `clock` is the highest turn ever claimed in it, and never falls."""

    name = models.TextField(primary_key=True)
    queue = models.TextField(validators=[_QUEUE_NAME], help_text="the Celery queue that serves this lane")
    clock = models.BigIntegerField(default=0, db_default=0)
    paused = models.BooleanField(default=False, db_default=False)

    class Meta:
        permissions = [("pause_lane", "Can pause and resume a lane")]
        constraints = [
            models.CheckConstraint(condition=models.Q(clock__gte=0), name="lane_clock_not_negative"),
        ]

    def __str__(self) -> str:
        """Return the lane's name."""
        return self.name


class ClientLane(models.Model):
    """The last turn that a client was given in a lane (see `turns.py`)."""

    pk = models.CompositePrimaryKey("client_id", "lane")
    client_id = models.BigIntegerField()
    lane = models.TextField()
    last_turn = models.BigIntegerField()

    def __str__(self) -> str:
        """Name the client and the lane."""
        return f"client {self.client_id} in {self.lane}"
