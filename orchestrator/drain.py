"""Work a lane off: keep a window of its messages in flight.

In: a lane. Out: its messages claimed, run, and their outcomes put to the recorder. Called by the Celery task `drain`,
through the worker process; at most one drain a lane and process runs at a time.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from django.conf import settings
from django.db import connection

from orchestrator import database_errors, dispatch, handlers, payloads, processing, tracing
from orchestrator.breath import Breath
from orchestrator.calls import Calls
from orchestrator.claiming import LaneClaims
from orchestrator.fuse import Fuse
from orchestrator.handlers import Kind, MessageType
from orchestrator.holdings import Closed
from orchestrator.outcomes import FAILURES
from orchestrator.pace import Pace
from orchestrator.queue import Batch, Claimed
from orchestrator.slots import Ration

if TYPE_CHECKING:
    from orchestrator.worker import WorkerProcess

log = structlog.get_logger(__name__)

Job = tuple[Claimed, MessageType]

_SHARE = 8
"""Of the slots that this process holds, an eighth is worth a claim."""
_ASK_OTHERS, _ASK_OTHERS_SELDOM = 0.1, 1.0
"""Seconds: how often a process without slots asks whether the others have left it some, at first and later."""


@dataclass(slots=True)
class Stretch:
    """One drain on its way: how many calls may be in flight before it claims again, and where it claims from.

    `joined`: it has called the idle workers to join. `ask_again`: the back end's limits keep messages back for so long.
    """

    at_most: int
    floor: int = 0
    joined: bool = False
    ask_again: float | None = None


class LaneDrain:
    """One lane in one worker process: its calls in flight outlive the drains that started them."""

    def __init__(self, lane: str, process: "WorkerProcess") -> None:
        """Stand ready to drain `lane`."""
        self.lane = lane
        self._process = process
        self._running = threading.Lock()
        self._woken = False
        self._pace = Pace()
        self._breath = Breath()
        self._fuse = Fuse(lane)
        self._calls = Calls(process, self._fuse)
        self._claims = LaneClaims(lane, process, calls=self._calls, pace=self._pace, fuse=self._fuse)

    def drain(self) -> None:
        """Work the lane off, unless a drain of this process is at it: then have that one look once more.

        The race: the running drain has made its last claim and found little, a message is committed, its wake-up
        comes here and finds the drain still running. So the wake-up is noted *before* the lock is tried, and looked
        for again *after* it is released; and the flag falls before anything is claimed.
        """
        self._breath.draw(unless=self._process.stopping)
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

    def floor(self) -> int:
        """Return the turn from which on the sweep looks for the lane's head."""
        # What goes back when a breaker opens keeps its old turns.
        return 0 if self._fuse.blown else self._claims.floor.lowest()

    def tell(self, *, everything: bool) -> None:
        """Let all processes know how the lane's back ends fare; wake the lane when they answer again."""
        if self._claims.tell(everything=everything):
            dispatch.wake(self.lane)

    def _work_off(self) -> None:
        """Claim, start, claim again when the window is half empty; end when the lane is empty or others wait."""
        stretch = Stretch(at_most=self._claims.window() - 1)
        slice_end = time.monotonic() + settings.WAYBILL_SLICE
        while not self._process.stopping.is_set():
            has_room = self._wait_for_room(stretch, until=slice_end)
            if has_room and not self._take_next(stretch):
                return
            now = time.monotonic()
            if now >= slice_end:
                if self._process.is_crowded():
                    self._give_way()
                    return
                slice_end = now + settings.WAYBILL_SLICE
            elif stretch.ask_again:
                # What waits for the back end's limits gives way sooner: it has nothing to do.
                slice_end = min(slice_end, now + stretch.ask_again)

    def _give_way(self) -> None:
        """Leave the rest to a wake-up. In this order: one that comes in between has lowered the flag, or is noted."""
        self._woken = False
        dispatch.wake(self.lane)

    def _wait_for_room(self, stretch: Stretch, *, until: float) -> bool:
        """Wait for half the window, or a little and then for any place: slow calls must not keep the others empty."""
        if stretch.ask_again is not None:
            return self._wait_for_limits(stretch, until=until)
        soon = min(until, time.monotonic() + settings.WAYBILL_FLUSH_AFTER / 4)
        return self._calls.wait_for_room(at_most=stretch.at_most, until=soon) or self._calls.wait_for_room(
            at_most=self._claims.window() - 1, until=until
        )

    def _wait_for_limits(self, stretch: Stretch, *, until: float) -> bool:
        """Wait for tokens, or for slots: those of our own calls are free when they are recorded."""
        soon = min(until, time.monotonic() + (stretch.ask_again or 0.0))
        if self._calls.wait_for_room(at_most=stretch.at_most, until=soon):
            self._process.recorder.wait_until_empty(timeout=settings.WAYBILL_SLICE)
        return not self._process.stopping.is_set()

    def _take_next(self, stretch: Stretch) -> bool:
        """Claim once and start what came; tell whether the lane may hold more."""
        # The first claim, one after a short one, and one after a wake-up met us go without a floor: a turn is
        # allocated before its message commits, so lower turns than ours may appear.
        floor = 0 if self._woken else stretch.floor
        self._woken = False
        limit = self._claims.room()
        ration = self._claims.take(limit=limit, floor=floor)
        batch = ration.batch
        full = len(batch.messages) == limit
        if full and not stretch.joined:
            dispatch.wake(self.lane)  # once a drain: idle workers join
            stretch.joined = True
        self._start(batch)
        if batch.suspects_wait:
            self._run_suspect()
        self._look_ahead(stretch, ration, full=full)
        self._process.recorder.wait_for_room()
        return full or batch.suspects_wait or self._woken or stretch.ask_again is not None

    def _look_ahead(self, stretch: Stretch, ration: Ration, *, full: bool) -> None:
        """Settle from where and when the next claim goes, after one that the window or the limits ended, or neither."""
        messages = ration.batch.messages
        held_back = ration.ask_again is not None and ration.ask_again <= settings.WAYBILL_SLICE
        if messages or not held_back:
            stretch.floor = messages[-1].turn if messages and (full or held_back) else 0
        if not held_back:
            stretch.at_most, stretch.ask_again = self._claims.window() // 2, None
        elif ration.for_slots:
            self._look_for_slots(stretch, ration)
        else:
            stretch.at_most, stretch.ask_again = -1, ration.ask_again  # tokens: no end of a call brings them sooner

    def _look_for_slots(self, stretch: Stretch, ration: Ration) -> None:
        """Claim when calls of our own have freed some; without any in flight, ask the others, ever more seldom."""
        in_flight = self._calls.in_flight
        stretch.at_most = in_flight - max(1, in_flight // _SHARE)
        if ration.batch.messages or in_flight:
            stretch.ask_again = ration.ask_again
        elif stretch.ask_again is None:
            stretch.ask_again = _ASK_OTHERS
        else:
            stretch.ask_again = min(2 * stretch.ask_again, _ASK_OTHERS_SELDOM)

    def _run_suspect(self) -> None:
        """Run one suspect with nothing else claimed in this process, so that its loss would be its own."""
        with self._process.holdings.solitude():
            self._start(self._claims.take_suspect())
            self._calls.wait_for_room(at_most=0, until=float("inf"))
            self._process.recorder.wait_until_empty()

    # ------------------------------------------------------------ running

    def _start(self, batch: Batch) -> None:
        """Hand calls to the event loop, then run the others here."""
        self._breath.note(claimed=len(batch.messages))
        jobs = self._jobs(batch)
        self._calls.launch([job for job in jobs if job[1].concurrent])
        self._run_here([job for job in jobs if not job[1].concurrent])

    def _jobs(self, batch: Batch) -> list[Job]:
        """Pair the messages with their types; report those that can't or mustn't begin."""
        jobs, others = [], []
        for message in batch.messages:
            message_type = handlers.find(message.type)
            if message_type is None or not payloads.is_readable(message.payload):
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
        with self._process.watch.over([message], timeout=message_type.timeout), tracing.working(message):
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
            with self._process.watch.over(begun, timeout=message_type.timeout), tracing.working_together(begun):
                outcomes = processing.run_list(begun, message_type)
            self._process.recorder.put(outcomes)
