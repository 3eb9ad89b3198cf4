"""From which turn on the sweep looks for a lane's head.

In: the turns that this process claims. Out: a floor for the sweep's looks. Called by claiming and by housekeeping.

What was claimed leaves a dead entry at the head of message_claimable until it is vacuumed, and no vacuum cleans behind
a transaction that somebody forgot: a look past 300,000 of them takes 100 ms, twice a second and in each process. So the
sweep begins at what this process had claimed a while ago: a turn is allocated from the lane's clock on, and the clock
had risen to that claim by then. What took longer than the while from its turn to its COMMIT, or was given back with its
old turn, has a wake-up of its own; should that be lost, the look at everything finds it, which is due again and again.
"""

import threading
import time
from collections import deque

_A_WHILE = 5.0
"""Seconds: from its turn to its COMMIT a message needs milliseconds, a large request a few hundred."""
_EVERYTHING_EVERY = 5.0


class Floor:
    """One lane's, in one worker process. Safe from any thread."""

    def __init__(self) -> None:
        """Nothing is claimed, and everything is to be looked at."""
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, int]] = deque()
        self._settled = 0
        self._looked_at = float("-inf")

    def note(self, turn: int, *, now: float | None = None) -> None:
        """Take in the last turn of a claim. `now`: of the monotonic clock."""
        with self._lock:
            self._recent.append((_moment(now), turn))

    def lowest(self, *, now: float | None = None) -> int:
        """Return the turn to begin a look at; now and then 0, which is everything."""
        moment = _moment(now)
        with self._lock:
            while self._recent and self._recent[0][0] <= moment - _A_WHILE:
                self._settled = max(self._settled, self._recent.popleft()[1])
            if moment - self._looked_at < _EVERYTHING_EVERY:
                return self._settled
            self._looked_at = moment
            return 0


def _moment(now: float | None) -> float:
    return time.monotonic() if now is None else now
