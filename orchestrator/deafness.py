"""Is this worker process alive but deaf? It happens after a reconnect to Redis.

In: what waits at each sweep, and each wake-up that comes. Out: certain, or not. Called by housekeeping.
"""

import time
from collections.abc import Collection

from django.conf import settings


class Deafness:
    """How long work for this process's queues has waited without a wake-up reaching it."""

    def __init__(self, *, queues: Collection[str]) -> None:
        """Listen for wake-ups on these Celery queues."""
        self._queues = frozenset(queues)
        self._since: float | None = None

    def note_wake_up(self) -> None:
        """A wake-up came: begin anew."""
        self._since = None

    def note_waiting(self, queues: Collection[str]) -> None:
        """Take in the Celery queues of the lanes that wait now: if none is this process's, begin anew."""
        if self._queues.isdisjoint(queues):
            self._since = None
        elif self._since is None:
            self._since = time.monotonic()

    def is_certain(self) -> bool:
        """Tell whether work has waited too long without a wake-up."""
        return self._since is not None and time.monotonic() - self._since >= settings.WAYBILL_DEAF_AFTER
