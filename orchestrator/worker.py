"""One worker process: what it is made of, how it starts, how it stops.

In: Celery's signals. Out: drains that share one event loop, one recorder, one housekeeping thread. Called by Celery.

A graceful stop costs nothing: nothing further is claimed or begun, calls in flight may finish within the grace time,
what they brought is recorded, and the rest is given back without an attempt.
"""

import os
import socket
import threading
import time
import uuid
from typing import Any

import structlog
import uuid_utils.compat as uuid_utils
from celery import signals
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections

from orchestrator import context, dispatch, failpoints, lasting, queue, tallies, tracing
from orchestrator.drain import LaneDrain
from orchestrator.ears import Ears
from orchestrator.failpoints import Place
from orchestrator.gate import Gate
from orchestrator.holdings import Holdings
from orchestrator.housekeeping import Housekeeping
from orchestrator.loop import CallLoop
from orchestrator.outcomes import Ending, Outcome
from orchestrator.recorder import Recorder
from orchestrator.stops import Stops
from orchestrator.watch import Watch

log = structlog.get_logger(__name__)

_AFTER_GRACE = 2.0
"""Seconds for recording what is left when the grace time is over."""


class WorkerProcess:
    """This process: its identity, what it holds, and the threads that serve it."""

    def __init__(self, *, queues: tuple[str, ...], concurrency: int, celery_worker: Any = None) -> None:
        """Put the parts together; they run from `start`."""
        self.identity = queue.Identity(id=uuid_utils.uuid7(), host=socket.gethostname(), pid=os.getpid(), queues=queues)
        self.stopping = threading.Event()
        self.holdings = Holdings()
        self.is_drained = False
        self._ears = Ears(celery_worker, queues=queues)
        self.stops = Stops(self.holdings)
        self.gate = Gate(holdings=self.holdings, stops=self.stops, stopping=self.stopping)
        self.watch = Watch()
        self.recorder = Recorder(self.holdings)
        self.loop = CallLoop()
        self.housekeeping = Housekeeping(self)
        self._concurrency = concurrency
        self._lanes: dict[str, LaneDrain] = {}
        self._draining = 0
        self._lock = threading.Lock()
        self._grace_ends = float("inf")
        self._finishing = threading.Event()
        self._finished = threading.Event()
        self._ready = threading.Event()

    # ------------------------------------------------------------ working

    def start(self) -> None:
        """Begin to live: the loop, the recorder, the heartbeat."""
        tracing.begin(role="worker")
        self.loop.start()
        self.recorder.start()
        self.housekeeping.start()
        dispatch.warm_up()
        self._ready.set()
        log.info("worker ready", worker_id=str(self.identity.id), queues=self.identity.queues)

    def drain(self, lane: str) -> None:
        """Work a lane off, in the calling thread. A wake-up that comes before the parts run waits for them."""
        self._ready.wait()
        self.housekeeping.note_wake_up()
        if self.stopping.is_set():
            return
        with self._lock:
            self._draining += 1
            drain = self._lanes.setdefault(lane, LaneDrain(lane, self))
        try:
            with context.of_lane(lane):
                drain.drain()
        finally:
            with self._lock:
                self._draining -= 1

    def drains(self) -> list[LaneDrain]:
        """Return the lanes that this process has drained."""
        with self._lock:
            return list(self._lanes.values())

    def is_crowded(self) -> bool:
        """Tell whether other lanes may be waiting for one of this process's threads."""
        return self._draining >= self._concurrency

    def is_idle(self) -> bool:
        """Tell whether this process drains nothing and holds nothing."""
        return not self._draining and not self.holdings.claims()

    # ------------------------------------------------------------ drained, and put back to work

    def obey(self, *, draining: bool) -> bool:
        """Do as the worker's row says: claim no more and finish what is held, or claim again; tell if that is new."""
        if not self.holdings.rest(resting=draining):
            return False
        log.info("worker drains" if draining else "worker works again", worker_id=str(self.identity.id))
        self.is_drained = draining
        self.housekeeping.note_wake_up()  # the silence before says nothing about its ears
        if draining:
            self._ears.close()
        else:
            self._ears.open()
        return True

    # ------------------------------------------------------------ stopping

    def begin_stop(self) -> None:
        """Claim and begin no more; make sure that the process ends within its grace time."""
        if not self.stopping.is_set():
            self._grace_ends = time.monotonic() + settings.WAYBILL_GRACE
            self.stopping.set()
            self.holdings.close()
            threading.Thread(target=self._end_in_time, name="grace", daemon=True).start()

    def finish_stop(self) -> None:
        """Let calls in flight finish, record everything, and leave."""
        self._finishing.set()
        self.loop.finish(timeout=self._grace_ends - time.monotonic())
        self.gate.close()
        failpoints.pass_by(Place.STOPPING)
        self._record_rest()
        self.housekeeping.stop()
        self.loop.close()
        tracing.end()
        self._finished.set()
        log.info("worker stopped", worker_id=str(self.identity.id))

    def _record_rest(self) -> None:
        """Record what is left; leave the list of workers; call the others to what was given back."""
        close_old_connections()  # this thread may have spoken to the ledger at the start, and never since
        if self.recorder.close(timeout=_AFTER_GRACE):
            self.housekeeping.stop()  # a heartbeat on its way would put this process back on the list
            tallies.write_last()
            self._leave()
        dispatch.wake_all(self._lanes)

    def _leave(self) -> None:
        """Go off the list of workers; where the ledger is away, the others strike us off after a while."""
        try:
            queue.leave(self.identity.id)
        except DatabaseError as away:
            log.warning("still on the list of workers", error=repr(away))

    def _rest(self, *, begun: set[uuid.UUID]) -> list[Outcome]:
        """Give back all that is still held; what was `begun` may have reached its back end, and says so."""
        try:
            held = queue.find_held(self.holdings.claims())
        except DatabaseError:
            return []  # the ledger is away: recovery will do it
        return [
            Outcome(
                message_id=message_id,
                request_id=request_id,
                claim_id=claim_id,
                ending=Ending.INTERRUPTED if message_id in begun else Ending.RETURNED,
            )
            for message_id, request_id, claim_id in held
        ]

    def _end_in_time(self) -> None:
        """Celery waits for its threads for ever: a plain handler that runs past the grace time is left behind."""
        if self._finishing.wait(timeout=max(self._grace_ends - time.monotonic(), 0)):
            if self._finished.wait(timeout=max(self._grace_ends - time.monotonic(), 0) + 2 * _AFTER_GRACE):
                return
            log.error("worker did not stop in time")
            os._exit(os.EX_SOFTWARE)
        interrupted = {message.id for message in self.watch.running()}
        self.recorder.wait_until_empty(timeout=_AFTER_GRACE)
        self.recorder.put(self._rest(begun=interrupted), hurry=True)
        self._record_rest()
        log.warning("worker ends with handlers still running", messages=len(interrupted))
        os._exit(os.EX_OK)


_current: WorkerProcess | None = None


def current() -> WorkerProcess:
    """Return this process's worker. Raises RuntimeError in a process that is none."""
    if _current is None:
        raise RuntimeError("this process is no worker: lanes are drained by `celery -A config worker`")
    return _current


def connect_signals() -> None:
    """Let Celery tell when this process becomes a worker, and when it stops being one."""
    signals.worker_init.connect(_make)
    signals.worker_ready.connect(_start)
    signals.worker_shutting_down.connect(_begin_stop)
    signals.worker_shutdown.connect(_finish_stop)


def _make(sender: Any, **_: Any) -> None:
    """Before the consumer takes its first wake-up."""
    global _current  # noqa: PLW0603 - one worker a process, by its nature
    queues = tuple(sender.app.amqp.queues.consume_from)
    _current = WorkerProcess(queues=queues, concurrency=sender.concurrency or 0, celery_worker=sender)


def _start(**_: Any) -> None:
    current().start()
    lasting.set_aside()


def _begin_stop(**_: Any) -> None:
    current().begin_stop()


def _finish_stop(**_: Any) -> None:
    current().begin_stop()
    current().finish_stop()
