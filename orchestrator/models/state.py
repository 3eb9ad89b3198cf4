"""A stage of a service (Genesys "state")."""

from django.db import models


class State(models.Model):
    """One stage of a service begun through the states window.

    A request of any other door has one state, which is read from the request and never stored (ADR 4).
    """

    request = models.ForeignKey("orchestrator.Request", on_delete=models.CASCADE, db_constraint=False, db_index=False)
    number = models.IntegerField()
    state_type = models.JSONField()
    est_duration = models.JSONField(null=True)
    started = models.JSONField()
    completed = models.JSONField(null=True)
    disposition = models.JSONField(null=True)
    disposition_desc = models.TextField(null=True)
    extensions = models.JSONField(default=dict, db_default={})
    open = models.IntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request", "number"], name="state_number_once"),
            models.CheckConstraint(condition=models.Q(open__gte=0), name="state_open_not_negative"),
        ]

    def __str__(self) -> str:
        """Name the service and the stage."""
        return f"state {self.number} of {self.request_id}"
