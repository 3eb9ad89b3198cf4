"""An external task of a service: what the states window knows of its message."""

from django.db import models

from orchestrator.models.span import Span


class Task(Span):
    """An external task. Its message, of the same number, is what every other window sees; both end together."""

    request = models.ForeignKey("orchestrator.Request", on_delete=models.CASCADE, db_constraint=False, db_index=False)
    number = models.IntegerField()

    class Meta(Span.Meta):
        constraints = [
            *Span.Meta.constraints,
            models.UniqueConstraint(fields=["request", "number"], name="task_number_once"),
        ]

    def __str__(self) -> str:
        """Name the service and the task."""
        return f"task {self.number} of {self.request_id}"
