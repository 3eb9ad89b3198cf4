"""Work a lane off: keep a window of its messages in flight.

In: a lane. Out: its messages claimed, run, and their outcomes put to the recorder. Called by the Celery task `drain`,
through the worker process; at most one drain a lane and process runs at a time.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from django.conf import settings
from django.db import connection

from orchestrator import database_errors, dispatch, failpoints, handlers, measures, processing, queue
from orchestrator.calls import Calls
from orchestrator.failpoints import Place
from orchestrator.handlers import Kind, MessageType
from orchestrator.holdings import Closed
from orchestrator.measures import Event
from orchestrator.outcomes import FAILURES
from orchestrator.pace import Pace
from orchestrator.queue import Batch, Claimed

if TYPE_CHECKING:
    from orchestrator.worker import WorkerProcess

log = structlog.get_logger(__name__)

Job = tuple[Claimed, MessageType]


@dataclass(slots=True)
class Stretch:
    """One drain on its way: how many calls may be in flight before it claims again, and where it claims from.

    `joined`: it has called the idle workers to join.
    """

    at_most: int
    floor: int = 0
    joined: bool = False


class LaneDrain:
    """One lane in one worker process: its calls in flight outlive the drains that started them."""

    def __init__(self, lane: str, process: "WorkerProcess") -> None:
        """Stand ready to drain `lane`."""
        self.lane = lane
        self._process = process
        self._running = threading.Lock()
        self._woken = False
        self._calls = Calls(process)
        self._pace = Pace()

    def drain(self) -> None:
        """Work the lane off, unless a drain of this process is at it: then have that one look once more.

        The race: the running drain has made its last claim and found little, a message is committed, its wake-up
        comes here and finds the drain still running. So the wake-up is noted *before* the lock is tried, and looked
        for again *after* it is released; and the flag falls before anything is claimed.
        """
        dispatch.lower_flag(self.lane)
        self._woken = True
        while self._woken and not self._process.stopping.is_set() and self._running.acquire(blocking=False):
            try:
                self._work_off()
            except Closed:
                return
            except Exception as error:
                if not database_errors.is_passing(error):
                    raise
                log.warning("drain broken off: the sweep will wake the lane", lane=self.lane, error=repr(error))
                connection.close()
                return
            finally:
                self._running.release()

    def _work_off(self) -> None:
        """Claim, start, claim again when the window is half empty; end when the lane is empty or others wait."""
        stretch = Stretch(at_most=self._window() - 1)
        slice_end = time.monotonic() + settings.WAYBILL_SLICE
        while not self._process.stopping.is_set():
            has_room = self._calls.wait_for_room(at_most=stretch.at_most, until=slice_end)
            if has_room and not self._take_next(stretch):
                return
            if time.monotonic() < slice_end:
                continue
            if self._process.is_crowded():
                # In this order: a wake-up that falls in between has lowered the flag, or is noted after this.
                self._woken = False
                dispatch.wake(self.lane)
                return
            slice_end = time.monotonic() + settings.WAYBILL_SLICE
            stretch.at_most = self._window() - 1  # slow calls in half the window don't keep the other half empty

    def _take_next(self, stretch: Stretch) -> bool:
        """Claim once and start what came; tell whether the lane may hold more."""
        # The first claim, one after a short one, and one after a wake-up met us go without a floor: a turn is
        # allocated before its message commits, so lower turns than ours may appear.
        floor = 0 if self._woken else stretch.floor
        self._woken = False
        limit = self._room()
        batch = self._claim(limit=limit, floor=floor)
        full = len(batch.messages) == limit
        if full and not stretch.joined:
            dispatch.wake(self.lane)  # once a drain: idle workers join
            stretch.joined = True
        self._start(batch)
        if batch.suspects_wait:
            self._run_suspect()
        stretch.floor = batch.messages[-1].turn if full else 0
        stretch.at_most = self._window() // 2
        self._process.recorder.wait_for_room()
        return full or batch.suspects_wait or self._woken

    # ------------------------------------------------------------ claiming

    def _window(self) -> int:
        """How many messages of this lane may be in flight in this process."""
        return settings.WAYBILL_WINDOW_CALLS if self._makes_calls() else settings.WAYBILL_WINDOW_PLAIN

    def _room(self) -> int:
        """How many messages the next claim may bring; plain ones, which run one by one, as many as fit a slice."""
        free = self._window() - self._calls.in_flight
        return free if self._makes_calls() else min(free, self._pace.limit())

    def _makes_calls(self) -> bool:
        return any(known.concurrent for known in handlers.catalogue().values() if known.lane_name == self.lane)

    def _claim(self, *, limit: int, floor: int, alone: bool = False) -> Batch:
        process = self._process
        if alone:
            return self._lease(limit=limit, floor=floor, alone=True)
        with process.holdings.admission():
            return self._lease(limit=limit, floor=floor, alone=False)

    def _lease(self, *, limit: int, floor: int, alone: bool) -> Batch:
        process = self._process
        sent_at = time.monotonic()
        batch = queue.claim(worker_id=process.identity.id, lane=self.lane, limit=limit, floor=floor, alone=alone)
        failpoints.pass_by(Place.CLAIMED)
        process.holdings.add(batch.messages, since=sent_at)
        self._measure(batch)
        process.stops.note_claimed((message.request_id for message in batch.messages), at=sent_at)
        return batch

    def _measure(self, batch: Batch) -> None:
        measures.count(Event.CLAIMS, int(bool(batch.messages)), lane=self.lane)
        for message_type, n in Counter(message.type for message in batch.messages).items():
            measures.count(Event.CLAIMED, n, of_type=message_type, lane=self.lane)

    def _run_suspect(self) -> None:
        """Run one suspect with nothing else claimed in this process, so that its loss would be its own."""
        with self._process.holdings.solitude():
            self._start(self._claim(limit=1, floor=0, alone=True))
            self._calls.wait_for_room(at_most=0, until=float("inf"))
            self._process.recorder.wait_until_empty()

    # ------------------------------------------------------------ running

    def _start(self, batch: Batch) -> None:
        """Hand calls to the event loop, then run the others here."""
        jobs = self._jobs(batch)
        self._calls.launch([job for job in jobs if job[1].concurrent])
        self._run_here([job for job in jobs if not job[1].concurrent])

    def _jobs(self, batch: Batch) -> list[Job]:
        """Pair the messages with their types; report those that can't or mustn't begin."""
        jobs, others = [], []
        for message in batch.messages:
            message_type = handlers.find(message.type)
            if message_type is None:
                others.append(processing.unknown(message))
            elif message.stopped:
                others.append(processing.skipped(message))
            else:
                jobs.append((message, message_type))
        if others:
            self._process.recorder.put(others, hurry=not jobs and not self._calls.in_flight)
        return jobs

    def _run_here(self, jobs: Sequence[Job]) -> None:
        """Run plain handlers in order, then each batch handler with its list."""
        lists: dict[str, list[Job]] = defaultdict(list)
        with self._pace.measuring(len(jobs)):
            for message, message_type in jobs:
                if message_type.kind is Kind.BATCH:
                    lists[message_type.name].append((message, message_type))
                else:
                    self._run_plain(message, message_type)
            for listed in lists.values():
                self._run_list(listed)
        if jobs:
            self._process.recorder.put([], hurry=not self._calls.in_flight)

    def _run_plain(self, message: Claimed, message_type: MessageType) -> None:
        refusal = self._process.gate.refusal(message)
        if refusal is not None:
            self._process.recorder.put([refusal])
            return
        with self._process.watch.over([message], timeout=message_type.timeout):
            outcome = processing.run_one(message, message_type)
        self._process.recorder.put([outcome])
        if message.halting and outcome.ending in FAILURES and self._process.holdings.holds_others(message):
            self._halt()

    def _halt(self) -> None:
        """Have a failure recorded before anything else begins: under haltOnError it stops what this process holds."""
        self._process.recorder.wait_until_empty()
        self._process.stops.expire()

    def _run_list(self, jobs: Sequence[Job]) -> None:
        message_type = jobs[0][1]
        refusals = {message.id: self._process.gate.refusal(message) for message, _ in jobs}
        self._process.recorder.put([refusal for refusal in refusals.values() if refusal])
        begun = [message for message, _ in jobs if refusals[message.id] is None]
        if begun:
            with self._process.watch.over(begun, timeout=message_type.timeout):
                outcomes = processing.run_list(begun, message_type)
            self._process.recorder.put(outcomes)
