"""Which handlers are running, since when, and until when they may.

In: messages, as handlers begin and end. Out: those that are over their timeout and grace. Called by the drain, by
calls, and by housekeeping, which ends the process when a handler hangs: a thread can't be ended from outside.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.conf import settings

from orchestrator.queue import Claimed


class Watch:
    """The handlers that run now. Safe from any thread: each entry has its own key."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._running: dict[object, tuple[float, Sequence[Claimed]]] = {}

    @contextmanager
    def over(self, messages: Sequence[Claimed], *, timeout: float) -> Iterator[None]:
        """Stand around a handler: `timeout` seconds, and the house's grace on top, are its time."""
        key = object()
        self._running[key] = (time.monotonic() + timeout + settings.WAYBILL_HANDLER_GRACE, messages)
        try:
            yield
        finally:
            self._running.pop(key, None)

    def overdue(self) -> list[Claimed]:
        """Return the messages whose handlers hang."""
        now = time.monotonic()
        return [message for until, messages in self._running.copy().values() if until < now for message in messages]

    def running(self) -> list[Claimed]:
        """Return the messages whose handlers run now."""
        return [message for _, messages in self._running.copy().values() for message in messages]
