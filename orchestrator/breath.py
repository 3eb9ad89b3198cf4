"""A short rest before a claim, while messages come thick and fast.

In: how much each claim brought. Out: nothing; time passes. Called by the drain, before it lowers the lane's flag.

A wake-up, a claim and a flush cost the same whether they carry one message or fifty. While the flag is up, nobody
publishes another wake-up: what is committed during the rest is claimed after it, and flushed, together. A lane where
single messages come and go is never kept waiting: the last claim must have brought several, just now.
"""

import threading
import time

from django.conf import settings

_SEVERAL = 3
_JUST_NOW = 5
"""Breaths: for so long a claim of several speaks for what comes next."""


class Breath:
    """One lane's, in one worker process. Safe from any thread: an old look costs a rest at most."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._busy_until = float("-inf")

    def note(self, *, claimed: int) -> None:
        """Take in what a claim brought."""
        if claimed >= _SEVERAL:
            self._busy_until = time.monotonic() + _JUST_NOW * settings.WAYBILL_BREATH
        elif claimed:
            self._busy_until = float("-inf")

    def draw(self, *, unless: threading.Event) -> None:
        """Rest, if the lane is busy, or until the event is set."""
        if time.monotonic() < self._busy_until:
            unless.wait(timeout=settings.WAYBILL_BREATH)
