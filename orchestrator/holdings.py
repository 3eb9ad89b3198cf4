"""What this worker process has claimed and not yet recorded.

In: claims, as the drains make them. Out: may a drain claim now, is a claim's lease still good, which claims end with
a flush. Called by the drains and their claims, the gate, stops, the recorder and housekeeping; safe from any thread.
"""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum

from django.conf import settings

from orchestrator import queue
from orchestrator.outcomes import Outcome


class Closed(Exception):
    """This worker process claims no more: it is stopping, or told to drain."""


class Lease(Enum):
    """What is known of a claim's lease, by this process's monotonic clock."""

    GOOD = "good"
    UNSURE = "unsure"  # not renewed for too long: no further handler starts until the next renewal tells
    LOST = "lost"  # given to others: what it held is no longer ours


class Holdings:
    """The claims of one process, each with the number of messages that are not recorded yet."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._condition = threading.Condition()
        self._turn_alone = threading.Lock()
        self._open: Counter[int] = Counter()
        self._requests: Counter[uuid.UUID] = Counter()
        self._since: dict[int, float] = {}
        self._ending: set[int] = set()
        self._claiming = 0
        self._someone_alone = False
        self._closed = False
        self._resting = False

    # ------------------------------------------------------------ claiming

    @contextmanager
    def admission(self) -> Iterator[None]:
        """Stand around a claim: wait while a suspect runs alone. Raises Closed when nothing may be claimed."""
        with self._condition:
            self._condition.wait_for(lambda: self._shut() or not self._someone_alone)
            self._refuse_if_closed()
            self._claiming += 1
        try:
            yield
        finally:
            with self._condition:
                self._claiming -= 1
                self._condition.notify_all()

    @contextmanager
    def solitude(self) -> Iterator[None]:
        """Stand around a suspect's claim, run and record: nothing else of this process is claimed meanwhile.

        So a suspect that kills the process harms no neighbour, and its loss is known to be its own.
        """
        with self._turn_alone:
            with self._condition:
                self._someone_alone = True
            try:
                self._wait_until_empty()
                yield
                self._wait_until_empty()
            finally:
                with self._condition:
                    self._someone_alone = False
                    self._condition.notify_all()

    def _wait_until_empty(self) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._shut() or not (self._claiming or self._open))
            self._refuse_if_closed()

    def add(self, messages: Sequence[queue.Claimed], *, since: float) -> None:
        """Hold what a claim brought; `since`: the monotonic time just before its statement was sent."""
        if not messages:
            return
        with self._condition:
            claim_id = messages[0].claim_id
            self._open[claim_id] = len(messages)
            self._since[claim_id] = since
            self._requests.update(message.request_id for message in messages)

    def close(self) -> None:
        """Claim no more."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def rest(self, *, resting: bool) -> bool:
        """Claim no more until told otherwise, and keep what is held; tell whether that is a change."""
        with self._condition:
            changed = self._resting is not resting
            self._resting = resting
            self._condition.notify_all()
            return changed

    def _shut(self) -> bool:
        return self._closed or self._resting

    def _refuse_if_closed(self) -> None:
        if self._shut():
            raise Closed

    # ------------------------------------------------------------ recording

    def mark_ending(self, outcomes: Iterable[Outcome]) -> list[int]:
        """Return the claims that hold nothing more once these outcomes are recorded, and know them to end by that.

        Until then a renewal that no longer finds them has not lost them, see `renewed`.
        """
        reported = Counter(outcome.claim_id for outcome in outcomes)
        with self._condition:
            ending = [claim_id for claim_id, n in reported.items() if self._open.get(claim_id, 0) <= n]
            self._ending.update(ending)
            return ending

    def subtract(self, outcomes: Sequence[Outcome]) -> None:
        """Hold the recorded messages no more."""
        with self._condition:
            self._open.subtract(outcome.claim_id for outcome in outcomes)
            self._requests.subtract(outcome.request_id for outcome in outcomes)
            for claim_id in {outcome.claim_id for outcome in outcomes}:
                if self._open[claim_id] <= 0:
                    del self._open[claim_id]
                    self._since.pop(claim_id, None)
                    self._ending.discard(claim_id)
            for request_id in {outcome.request_id for outcome in outcomes}:
                if self._requests[request_id] <= 0:
                    del self._requests[request_id]
            self._condition.notify_all()

    def give_up(self, claim_ids: Iterable[int]) -> None:
        """Renew these claims no more: their leases run out, and recovery gives back what they still hold."""
        with self._condition:
            for claim_id in claim_ids:
                self._since.pop(claim_id, None)
                self._ending.discard(claim_id)

    # ------------------------------------------------------------ looking

    def lease(self, claim_id: int) -> Lease:
        """Tell whether a handler of this claim's may start now."""
        since = self._since.get(claim_id)
        if since is None:
            return Lease.LOST
        surely = since + settings.WAYBILL_LEASE - settings.WAYBILL_LEASE_MARGIN
        return Lease.GOOD if time.monotonic() < surely else Lease.UNSURE

    def claims(self) -> frozenset[int]:
        """Return the claims held now."""
        with self._condition:
            return frozenset(self._since)

    def requests(self) -> list[uuid.UUID]:
        """Return the requests of which this process holds messages."""
        with self._condition:
            return list(self._requests)

    def holds_others(self, message: queue.Claimed) -> bool:
        """Tell whether this process holds more of the message's request than the message itself."""
        return self._requests[message.request_id] > 1

    def renewed(self, *, before: frozenset[int], still_ours: frozenset[int], at: float) -> frozenset[int]:
        """Take in a renewal sent at monotonic time `at`, when `before` were held; return the claims that are lost."""
        with self._condition:
            # One whose last outcomes are being recorded right now is not lost: our own flush has ended it.
            lost = ((before - still_ours) & self._since.keys()) - self._ending
            for claim_id in lost:
                del self._since[claim_id]
            for claim_id in still_ours & self._since.keys():
                self._since[claim_id] = at
            return lost
