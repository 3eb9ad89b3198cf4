"""From which turn on a lane's messages are looked for, when looking at everything has become slow.

In: the turns that this process claims, and how long its claims without a floor take. Out: where such a claim, and the
sweep's look for the lane's head, begins. Called by claiming, and by housekeeping through the drain.

What was claimed leaves a dead entry at the head of message_claimable until it is vacuumed, and no vacuum cleans behind
a transaction that somebody forgot: a look past 300,000 of them takes 40 to 100 ms. So there the look begins at what
this process had claimed a while ago: a turn is allocated from the lane's clock on, and the clock had risen to that
claim by then. What took longer than the while from its turn to its COMMIT, or was given back with its old turn, waits
for the next look at everything, which is due again and again.
"""

import threading
import time
from collections import deque

A_WHILE = 5.0
"""Seconds: from its turn to its COMMIT a message needs milliseconds, a large request a few hundred."""
_EVERYTHING_EVERY = 5.0
_SLOW = 0.03
"""Seconds that a claim without a floor takes: full, and without dead entries, it takes a third to a half of that."""
_SHARE = 20
"""The slower the looks at everything, the rarer: they take a twentieth of the time at most."""


class Floor:
    """One lane's, in one worker process. Safe from any thread. `now`: of the monotonic clock."""

    def __init__(self) -> None:
        """Nothing is claimed, and everything is to be looked at."""
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, int]] = deque()
        self._settled = 0
        self._swept_at = float("-inf")
        self._everything_from = float("-inf")

    def note(self, turn: int, *, now: float | None = None) -> None:
        """Take in the last turn of a claim."""
        with self._lock:
            self._recent.append((_moment(now), turn))

    def looked(self, *, seconds: float, now: float | None = None) -> None:
        """Take in how long a claim without a floor took."""
        with self._lock:
            rest = max(_EVERYTHING_EVERY, _SHARE * seconds) if seconds >= _SLOW else 0.0
            self._everything_from = _moment(now) + rest

    def for_claim(self, *, now: float | None = None) -> int:
        """Return the turn at which a claim begins that wants to see what was committed late; mostly 0: everything."""
        moment = _moment(now)
        with self._lock:
            return self._settle(moment) if moment < self._everything_from else 0

    def lowest(self, *, now: float | None = None) -> int:
        """Return the turn at which the sweep's look begins; now and then 0. The sweep is there for what others miss."""
        moment = _moment(now)
        with self._lock:
            if moment - self._swept_at < _EVERYTHING_EVERY:
                return self._settle(moment)
            self._swept_at = moment
            return 0

    def _settle(self, moment: float) -> int:
        while self._recent and self._recent[0][0] <= moment - A_WHILE:
            self._settled = max(self._settled, self._recent.popleft()[1])
        return self._settled


def _moment(now: float | None) -> float:
    return time.monotonic() if now is None else now
