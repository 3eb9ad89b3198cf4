"""Is this thread's database connection still good? Asked by a statement, but not before each piece of work.

In: nothing. Out: a connection that answered within the last second, or none, so that the next statement opens one.
Called at the beginning of each flush: they come many a second.
"""

import threading
import time

from django.db import close_old_connections

_TRUSTED_SECONDS = 1.0

_asked = threading.local()


def look_after_connection() -> None:
    """Have the connection tested by the next statement, unless that was done just now.

    One that dies within that second fails a flush, as one that dies in its middle does: it is tried again.
    """
    now = time.monotonic()
    if now - getattr(_asked, "at", float("-inf")) > _TRUSTED_SECONDS:
        close_old_connections()
        _asked.at = now
