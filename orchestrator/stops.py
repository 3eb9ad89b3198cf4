"""Which of the requests that this process holds were stopped or are overdue.

In: requests, as claims bring them. Out: what is known, and how fresh. Called by the gate, before each message.

One statement per process at most every 100 ms over all the requests it holds, never one a message: so once a cancel
was answered, no message of that request begins later than that age plus the statement's time.
"""

import threading
import time
import uuid
from collections.abc import Iterable

from django.conf import settings

from orchestrator import queue
from orchestrator.holdings import Holdings


class Stops:
    """What was last known of the held requests. Safe from any thread."""

    def __init__(self, holdings: Holdings) -> None:
        """Look after the requests of these holdings."""
        self._holdings = holdings
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._stopped: frozenset[uuid.UUID] = frozenset()
        self._claimed_at: dict[uuid.UUID, float] = {}

    def note_claimed(self, request_ids: Iterable[uuid.UUID], *, at: float) -> None:
        """A claim looks too: what it brought is fresh as of monotonic time `at`, just before it was sent."""
        with self._lock:
            self._claimed_at.update(dict.fromkeys(request_ids, at))

    def is_fresh(self, request_id: uuid.UUID) -> bool:
        """Tell whether what is known of the request is young enough to act on."""
        known_at = max(self._asked_at, self._claimed_at.get(request_id, self._asked_at))
        return time.monotonic() - known_at <= settings.WAYBILL_STOPS_AGE

    def is_stopped(self, request_id: uuid.UUID) -> bool:
        """Tell whether the request was stopped or overdue when last asked."""
        return request_id in self._stopped

    def ask(self, request_id: uuid.UUID) -> None:
        """Ask the ledger for all held requests, unless another thread did while this one waited for its turn."""
        with self._lock:
            if self.is_fresh(request_id):
                return
            self._stopped = queue.find_stopped(self._holdings.requests())
            # Counted from the answer: a statement that takes longer than the age must not be asked for ever.
            self._asked_at = time.monotonic()
            self._claimed_at = {}

    def expire(self) -> None:
        """Trust nothing that is known: a request has just been stopped from here."""
        with self._lock:
            self._asked_at = float("-inf")
            self._claimed_at = {}
