"""May this claimed message begin now?

In: a claimed message. Out: nothing, or the outcome with which it is put back or skipped. Called before each handler.

Three things may stand in the way: the process is stopping, the claim's lease is not surely ours any more, or the
request was stopped or is overdue. Where that can't be known (no renewal, no ledger), nothing begins until it can.
"""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from orchestrator import processing
from orchestrator.holdings import Holdings, Lease
from orchestrator.outcomes import Outcome
from orchestrator.queue import Claimed
from orchestrator.stops import Stops

log = structlog.get_logger(__name__)

_LOOK_AGAIN = 0.05
"""Seconds between looks while a lease is unsure or the ledger is away."""


class Gate:
    """The last look before a handler starts. Safe from any thread."""

    def __init__(self, *, holdings: Holdings, stops: Stops, stopping: threading.Event) -> None:
        """Look at these holdings and stops."""
        self._holdings = holdings
        self._stops = stops
        self._stopping = stopping
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gate")

    def refusal(self, message: Claimed) -> Outcome | None:
        """Return None when a handler may start; waits while that can't be known. For plain threads."""
        while not self._is_known(message):
            self._learn(message)
        return self._verdict(message)

    async def refusal_async(self, message: Claimed) -> Outcome | None:
        """Do the same without holding the event loop."""
        while not self._is_known(message):
            await asyncio.get_running_loop().run_in_executor(self._thread, self._learn, message)
        return self._verdict(message)

    def close(self) -> None:
        """End the thread and its connection, when no handler is about to start any more."""
        self._thread.submit(lambda: connection.close())  # noqa: PLW0108 - the thread's own must be looked up there
        self._thread.shutdown(wait=False)

    def _is_known(self, message: Claimed) -> bool:
        lease = self._holdings.lease(message.claim_id)
        if self._stopping.is_set() or lease is Lease.LOST:
            return True
        return lease is Lease.GOOD and self._stops.is_fresh(message.request_id)

    def _learn(self, message: Claimed) -> None:
        """Ask the ledger for stops; while the lease is unsure or the ledger is away, wait a little."""
        if self._holdings.lease(message.claim_id) is not Lease.UNSURE:
            try:
                close_old_connections()
                self._stops.ask(message.request_id)
            except DatabaseError as error:  # whatever it is: raised from here, it would strand the whole claim
                log.warning("stops not known, asking again", error=repr(error))
                connection.close()
            else:
                return
        time.sleep(_LOOK_AGAIN)

    def _verdict(self, message: Claimed) -> Outcome | None:
        if self._stopping.is_set() or self._holdings.lease(message.claim_id) is Lease.LOST:
            return processing.returned(message)
        return processing.skipped(message) if self._stops.is_stopped(message.request_id) else None
