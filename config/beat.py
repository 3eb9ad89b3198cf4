"""Celery's beat, with a sign of life: it has no port to ask.

In: the schedule of the settings. Out: due Celery tasks, as ever. Called by `celery -A config beat`.
"""

from typing import Any

from celery.beat import PersistentScheduler

from orchestrator import alive


class Scheduler(PersistentScheduler):
    """The usual scheduler, which also tells that it turns."""

    max_interval = 30  # seconds that beat sleeps at most; five minutes by default, too long for a sign of life

    def tick(self, *arguments: Any, **options: Any) -> float:
        """Run what is due; return the seconds until the next look."""
        alive.show()
        return float(super().tick(*arguments, **options))
