"""A clock that is wrong, for one process: what reads the time of day reads it shifted.

`time.time`, `time.time_ns` and Django's `timezone.now` are shifted, so everything in Python that asks these, Celery and
the logs included. `datetime.now` and what compiled code asks the kernel for are not; monotonic clocks are never wrong.
"""

import time
from datetime import timedelta

from django.utils import timezone


def shift(seconds: float) -> None:
    """Shift this process's time of day from now on."""
    real, real_ns, real_now = time.time, time.time_ns, timezone.now
    time.time = lambda: real() + seconds
    time.time_ns = lambda: real_ns() + int(seconds * 1e9)
    timezone.now = lambda: real_now() + timedelta(seconds=seconds)
