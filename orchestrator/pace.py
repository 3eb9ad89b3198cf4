"""How many plain messages a drain claims at once: what it can run in one slice.

In: how long the last ones took. Out: a number up to the window. Called by the drain and its claims.

Plain handlers run one after the other, so a claim of 500 slow ones would keep them from idle workers, and keep another
client's single message waiting behind them: "one batch" must stay a matter of seconds.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

_BEGIN_WITH = 50
_GROWTH = 4


class Pace:
    """The limit of the next claim, from the time that the last one's messages took."""

    def __init__(self) -> None:
        """Begin carefully: nothing is known of this lane's handlers yet."""
        self._limit = _BEGIN_WITH

    def limit(self) -> int:
        """Return how many messages the next claim may bring."""
        return min(self._limit, settings.WAYBILL_WINDOW_PLAIN)

    @contextmanager
    def measuring(self, messages: int) -> Iterator[None]:
        """Time a run of messages, and fit the limit to it."""
        began = time.monotonic()
        yield
        if messages:
            each = max(time.monotonic() - began, 1e-6) / messages
            self._limit = max(1, min(int(settings.WAYBILL_SLICE / each), self._limit * _GROWTH))
