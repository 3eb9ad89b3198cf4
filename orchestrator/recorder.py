"""Gather outcomes, and have them recorded together.

In: outcomes, from drains and calls. Out: flushes, by one thread of the process. Called by the drain and the worker.

A flush goes at 500 outcomes, at the latest 200 ms after the first, and at once when nothing else of the drain is
running: a slow message doesn't hide its neighbours' results, and a single one isn't kept waiting. Outcomes of calls,
each of which ends when it ends, go at once as well, but one flush no sooner than 25 ms after the other: what comes
meanwhile shares the next. So a client's single call is not kept waiting by another's many.
"""

import itertools
import threading
import time
from collections.abc import Sequence

import structlog
from django.conf import settings
from django.db import connection

from orchestrator import database_errors, freshness, outcomes, tracing
from orchestrator.holdings import Holdings
from orchestrator.outcomes import Outcome

log = structlog.get_logger(__name__)

_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between tries while the ledger is away; the last is repeated."""
_MOST_REFUSALS = 5


class Recorder:
    """The buffer between handlers and the ledger."""

    def __init__(self, holdings: Holdings) -> None:
        """Record what these holdings hold."""
        self._holdings = holdings
        self._condition = threading.Condition()
        self._waiting: list[Outcome] = []
        self._due_at = float("inf")
        self._flushed_at = float("-inf")
        self._hurried = False
        self._busy = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to flush."""
        self._thread.start()

    def put(self, ended: Sequence[Outcome], *, hurry: bool = False, single: bool = False) -> None:
        """Take outcomes. `hurry`: nothing else of their drain is running, so there is nothing to wait for.

        `single`: each of their drain ends by itself, and its client need not wait for the others'.
        """
        with self._condition:
            self._waiting.extend(ended)
            if not self._waiting:
                return
            self._hurried = self._hurried or hurry
            due_at = time.monotonic() + settings.WAYBILL_FLUSH_AFTER
            if single:
                due_at = min(due_at, self._flushed_at + settings.WAYBILL_FLUSH_PAUSE)
            sooner = due_at < self._due_at
            self._due_at = min(self._due_at, due_at)
            # The recorder is only called when there is something for it to do: a switch of threads for each outcome
            # would cost more than the outcome.
            if sooner or self._is_due():
                self._condition.notify_all()

    def wait_for_room(self) -> None:
        """Hold a drain back that claims faster than the ledger records."""
        with self._condition:
            self._condition.wait_for(
                lambda: self._closing or len(self._waiting) < 2 * settings.WAYBILL_FLUSH_SIZE,
            )

    def wait_until_empty(self, *, timeout: float | None = None) -> bool:
        """Wait until all that was put is recorded; tell whether it is."""
        with self._condition:
            self._hurried = True
            self._condition.notify_all()
            return self._condition.wait_for(lambda: not (self._waiting or self._busy), timeout=timeout)

    def close(self, *, timeout: float) -> bool:
        """Record what is left and end; tell whether all was recorded in time."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while batch := self._next_batch():
            began = time.monotonic()
            self._flush_until_recorded(batch)
            tracing.recorded(batch, seconds=time.monotonic() - began)
            self._holdings.subtract(batch)
            with self._condition:
                self._busy = False
                self._flushed_at = time.monotonic()
                self._due_at = max(self._due_at, self._flushed_at + settings.WAYBILL_FLUSH_PAUSE)
                self._condition.notify_all()
        connection.close()

    def _next_batch(self) -> list[Outcome]:
        """Wait for a flush's worth of outcomes; nothing means that the recorder is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._closing)
            while not self._is_due() and (remaining := self._due_at - time.monotonic()) > 0:
                self._condition.wait(timeout=remaining)
            size = settings.WAYBILL_FLUSH_SIZE
            batch, self._waiting = self._waiting[:size], self._waiting[size:]
            self._due_at = time.monotonic() + settings.WAYBILL_FLUSH_AFTER if self._waiting else float("inf")
            self._hurried = self._hurried and bool(self._waiting)
            self._busy = bool(batch)
            return batch

    def _is_due(self) -> bool:
        return self._hurried or self._closing or len(self._waiting) >= settings.WAYBILL_FLUSH_SIZE

    def _flush_until_recorded(self, batch: list[Outcome]) -> None:
        """Flush, and flush again while the ledger is away: an outcome is not forgotten while its claim is ours.

        What the ledger refuses again and again, even as a failure, must not hold up all other outcomes of the process:
        its claims are given up, and recovery deals with what they still hold.
        """
        refusals = 0
        for pause in itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1])):
            failure = self._flush(batch)
            if failure is None:
                return
            refusals += not database_errors.is_passing(failure)
            if refusals == _MOST_REFUSALS:
                self._give_up(batch)
                return
            time.sleep(pause)

    def _flush(self, batch: list[Outcome]) -> Exception | None:
        """Flush once; return what went wrong, if anything did."""
        try:
            freshness.look_after_connection()
            outcomes.flush(batch, finished_claims=self._holdings.mark_ending(batch))
        except Exception as error:  # noqa: BLE001 - whatever it is, the outcomes must not be dropped
            passing = database_errors.is_passing(error)
            log.warning("flush failed, trying again", outcomes=len(batch), passing=passing, error=repr(error))
            connection.close()
            return error
        return None

    def _give_up(self, batch: list[Outcome]) -> None:
        log.critical("outcomes refused by the ledger: their claims are given up", outcomes=len(batch))
        self._holdings.give_up({outcome.claim_id for outcome in batch})
