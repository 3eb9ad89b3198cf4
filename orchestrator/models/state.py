"""A stage of a service (Genesys "state")."""

from django.db import models

from orchestrator.models.span import Span


class State(Span):
    """One stage of a service begun through the states window; over when it is ended there.

    A request of any other door has one state, which is read from the request and never stored (ADR 4).
    """

    request = models.ForeignKey("orchestrator.Request", on_delete=models.CASCADE, db_constraint=False, db_index=False)
    number = models.IntegerField()
    previous_number = models.IntegerField(null=True)

    class Meta(Span.Meta):
        constraints = [
            *Span.Meta.constraints,
            models.UniqueConstraint(fields=["request", "number"], name="state_number_once"),
        ]

    def __str__(self) -> str:
        """Name the service and the stage."""
        return f"state {self.number} of {self.request_id}"
