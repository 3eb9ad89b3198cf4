"""Answers that wait: how a view says that its caller is to wait, without holding a thread or a connection meanwhile.

In: a view that has nothing to say yet returns `Later`. Out: the bridge waits in the event loop, then asks the view
anew, credentials and all: a client that was disabled meanwhile learns nothing.
Called by the views, and by `config/bridge.py`, which alone can wait: to any other server the view answers at once.
"""

import time
from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponse

CAN_WAIT = "waybill.can_wait"
WAITS_UNTIL = "waybill.waits_until"
"""Keys of the WSGI environment: the server can wait; and, when the view is asked anew, until when it was to wait."""


class Later(HttpResponse):
    """No answer yet: wait for `until` to return, then ask again. `deadline`: by the monotonic clock."""

    def __init__(self, until: Callable[[], Awaitable[object]], *, deadline: float) -> None:
        """Have nothing to say. It never goes out; with the status of a failure Django would log each wait as one."""
        super().__init__(status=202)
        self.until = until
        self.deadline = deadline


def can_wait(request: HttpRequest) -> bool:
    """Tell whether the server understands `Later`."""
    return bool(request.META.get(CAN_WAIT))


def has_waited(request: HttpRequest) -> bool:
    """Tell whether the view is asked anew after a wait."""
    return WAITS_UNTIL in request.META


def deadline(request: HttpRequest, *, seconds: float) -> float:
    """Return until when the caller waits: `seconds` from now, or what was said the first time."""
    kept: float | None = request.META.get(WAITS_UNTIL)
    return time.monotonic() + seconds if kept is None else kept
