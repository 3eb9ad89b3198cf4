"""The thread in every worker process that keeps it alive and the ledger tidy.

In: the clock. Out: renewed leases, released retries, given-back claims, expired deadlines, wake-ups of lanes that
wait. Started when the worker is ready. It logs instead of dying when the database is away.
"""

import os
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from django.conf import settings
from django.db import close_old_connections, connection

from orchestrator import accounts, alive, context, dispatch, failpoints, queue, recovery, stopping, tallies
from orchestrator.deafness import Deafness
from orchestrator.failpoints import Place

if TYPE_CHECKING:
    from orchestrator.worker import WorkerProcess

log = structlog.get_logger(__name__)


class Housekeeping:
    """One sweep after the other, with jitter, until the process stops."""

    def __init__(self, process: "WorkerProcess") -> None:
        """Keep this process's house."""
        self._process = process
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._renewed_at = float("-inf")
        self._woken_at: dict[str, float] = {}
        self._measured_at = float("-inf")
        self._told_at = float("-inf")
        self._deafness = Deafness(queues=process.identity.queues)
        self._chores = (
            *(self._release, self._suspect, self._give_back),
            *(self._tell, self._forget, self._expire, self._wake, self._measure_when_due),
        )

    def start(self) -> None:
        """Renew once, so that the worker is known, and begin to sweep."""
        self._attempt(self._renew_when_due)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def note_wake_up(self) -> None:
        """A wake-up has reached this process: it is not deaf."""
        self._deafness.note_wake_up()

    def _run(self) -> None:
        while not self._stop.wait(settings.WAYBILL_SWEEP * random.uniform(0.5, 1.0)):  # noqa: S311 - jitter
            alive.show()
            for chore in self._chores:
                self._end_if_hung()
                self._attempt(self._renew_when_due)  # before each: a slow chore must not cost the leases
                self._attempt(chore)
        connection.close()

    def _attempt(self, chore: Callable[[], None]) -> None:
        try:
            close_old_connections()
            chore()
        except Exception as error:  # noqa: BLE001 - a chore that fails today is done by the next sweep
            log.warning("chore failed", chore=chore.__name__.lstrip("_"), error=repr(error))
            connection.close()

    # ------------------------------------------------------------ the chores

    def _renew_when_due(self) -> None:
        """Renew all leases with one statement; what is not ours any more is told to the holdings. Obey the row."""
        now = time.monotonic()
        if now - self._renewed_at < settings.WAYBILL_HEARTBEAT:
            return
        held = self._process.holdings.claims()
        renewal = queue.renew(self._process.identity, held=held, resting=self._process.is_drained)
        self._renewed_at = now
        if lost := self._process.holdings.renewed(before=held, still_ours=renewal.claims, at=now):
            log.warning("claims lost to others", claims=sorted(lost))
        if self._process.obey(draining=renewal.draining):
            self._renewed_at = float("-inf")  # whoever waits for a drained worker to stop it hears of it at once

    def _release(self) -> None:
        if lanes := recovery.release_due_retries():
            failpoints.pass_by(Place.RELEASED)
            dispatch.wake_all(lanes)

    def _suspect(self) -> None:
        recovery.suspect_expired_claims()

    def _give_back(self) -> None:
        if lanes := recovery.give_back_lost_claims():
            failpoints.pass_by(Place.GIVEN_BACK)
            dispatch.wake_all(lanes)

    def _tell(self) -> None:
        """Tell how the back ends fare: at once when one is in trouble or answers again, else once a heartbeat."""
        now = time.monotonic()
        is_due = now - self._told_at >= settings.WAYBILL_HEARTBEAT
        for drain in self._process.drains():
            drain.tell(everything=is_due)
        self._told_at = now if is_due else self._told_at

    def _forget(self) -> None:
        recovery.forget_silent_workers()

    def _expire(self) -> None:
        stopping.expire_overdue()

    def _wake(self) -> None:
        """Wake lanes that wait although they were woken: ignoring the flag, but each at most once per stale time."""
        if self._process.is_drained:
            return  # it is for others to say that they wait, and to hear; this one isn't deaf, it doesn't listen
        lanes = recovery.find_waiting_lanes({drain.lane: drain.floor() for drain in self._process.drains()})
        now = time.monotonic()
        answered = True
        for lane in lanes:
            if now - self._woken_at.get(lane.name, float("-inf")) >= settings.WAYBILL_STALE_WAKE:
                answered = dispatch.wake_regardless(lane.name) and answered
                self._woken_at[lane.name] = now
        self._exit_if_deaf([lane.queue for lane in lanes], broker_answers=answered)

    def _measure_when_due(self) -> None:
        """Write this process's figures once a heartbeat."""
        now = time.monotonic()
        if now - self._measured_at >= settings.WAYBILL_HEARTBEAT:
            self._measured_at = now
            tallies.write()
            context.learn(accounts.read_names(context.unnamed()))

    # ------------------------------------------------------------ the exits

    def _end_if_hung(self) -> None:
        """End the process when a handler is over its timeout and grace: a thread can't be; recovery does the rest."""
        if hung := self._process.watch.overdue():
            log.critical("handler hangs: the process ends", messages=[str(message.id) for message in hung])
            os._exit(os.EX_SOFTWARE)

    def _exit_if_deaf(self, waiting_queues: list[str], *, broker_answers: bool) -> None:
        """An idle worker that sees work of its own waiting, wakes it, and is never woken, has lost its ears."""
        idle = self._process.is_idle() and broker_answers
        self._deafness.note_waiting(waiting_queues if idle else [])
        if self._deafness.is_certain():
            log.critical("no wake-up reaches this process: it ends, to be started anew")
            os._exit(os.EX_TEMPFAIL)
