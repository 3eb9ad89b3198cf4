"""The pause after a server has failed: it may cost its callers their time-out once a second, not each time.

In: a failure. Out: whether it is worth trying again. Called by dispatch (broker, cache) and rates (cache).
"""

import time


class Rest:
    """One server's, in this process. Safe from any thread: at worst one more caller tries."""

    def __init__(self) -> None:
        """Begin awake."""
        self._until = float("-inf")

    def begin(self, *, seconds: float) -> None:
        """It has failed: leave it alone for so long."""
        self._until = time.monotonic() + seconds

    def over(self) -> bool:
        """Tell whether it may be asked."""
        return time.monotonic() >= self._until
