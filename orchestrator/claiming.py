"""How one lane's messages come into this worker process: how many fit, what the limits allow, past a breaker or not.

In: how many, and from which turn on. Out: messages leased to this process, known to its holdings. Called by the drain.
"""

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.conf import settings

from orchestrator import breakers, failpoints, handlers, limits, measures, slots, tracing
from orchestrator.calls import Calls
from orchestrator.failpoints import Place
from orchestrator.floors import Floor
from orchestrator.fuse import Fuse
from orchestrator.handlers import Kind, MessageType
from orchestrator.limits import Limits
from orchestrator.measures import Event
from orchestrator.pace import Pace
from orchestrator.queue import Batch
from orchestrator.slots import Asked, Ration

if TYPE_CHECKING:
    from orchestrator.worker import WorkerProcess


class LaneClaims:
    """The claims of one lane in one worker process."""

    def __init__(self, lane: str, process: "WorkerProcess", *, calls: Calls, pace: Pace, fuse: Fuse) -> None:
        """Have claimed nothing."""
        self._lane = lane
        self._process = process
        self._calls = calls
        self._pace = pace
        self._fuse = fuse
        self.floor = Floor()

    def window(self) -> int:
        """How many messages of this lane may be in flight in this process."""
        return settings.WAYBILL_WINDOW_CALLS if self._makes_calls() else settings.WAYBILL_WINDOW_PLAIN

    def room(self) -> int:
        """How many messages the next claim may bring; plain ones, which run one by one, as many as fit a slice."""
        free = self.window() - self._calls.in_flight
        return free if self._makes_calls() else min(free, self._pace.limit())

    def take(self, *, limit: int, floor: int) -> Ration:
        """Claim up to `limit` from `floor` on; a lane whose breaker is open may give one message, as a probe.

        Raises Closed when the process is stopping.
        """
        if not self._fuse.blown:  # what goes back when a breaker opens keeps its old turns
            floor = floor or self.floor.for_claim()
        asked = Asked(self._process.identity.id, self._lane, limit, floor)
        if backends := self._backends():
            return self._take_calls(asked, backends)
        return self._admitted(asked, limits.NO_LIMITS)

    def _take_calls(self, asked: Asked, backends: Sequence[MessageType]) -> Ration:
        """Claim within what the lane's back ends allow; where nothing comes, see whether it is the breaker."""
        allowed = limits.tightest(known.limits for known in backends)
        self._fuse.tell(breaker=allowed.breaker)  # before the claim: it may find the breaker open by it
        ration = self._admitted(asked, allowed)
        if ration.batch.messages:
            self._fuse.mend()
            return ration
        if ration.ask_again is not None:
            return ration  # it is the limits
        if allowed.breaker:
            return self._probe(allowed, longest=max(known.timeout for known in backends))
        was_open = breakers.close(self._lane)  # an operator has taken the breaker away while it was open
        return self._admitted(asked, allowed) if was_open else ration

    def take_suspect(self) -> Batch:
        """Claim one suspect; the caller stands in solitude."""
        return self._lease(Asked(self._process.identity.id, self._lane, limit=1, alone=True), limits.NO_LIMITS).batch

    def tell(self, *, everything: bool) -> bool:
        """Let the shared breaker know what this process saw; tell whether that has closed it."""
        allowed = limits.tightest(known.limits for known in self._backends())
        return self._fuse.tell(breaker=allowed.breaker, everything=everything)

    def _backends(self) -> list[MessageType]:
        return [known for known in self._types() if known.kind is Kind.HTTP]

    def _types(self) -> list[MessageType]:
        return [known for known in handlers.catalogue().values() if known.lane_name == self._lane]

    def _makes_calls(self) -> bool:
        return any(known.concurrent for known in self._types())

    def _admitted(self, asked: Asked, allowed: Limits) -> Ration:
        with self._process.holdings.admission():
            return self._lease(asked, allowed)

    def _lease(self, asked: Asked, allowed: Limits) -> Ration:
        process = self._process
        sent_at = time.monotonic()
        ration = slots.claim(asked, limits=allowed)
        messages = ration.batch.messages
        if not asked.floor and not asked.alone:
            self.floor.looked(seconds=time.monotonic() - sent_at)
        if messages:
            self.floor.note(messages[-1].turn)
            failpoints.pass_by(Place.CLAIMED)
        process.holdings.add(messages, since=sent_at)
        self._measure(ration.batch)
        tracing.claimed(messages, lane=self._lane, seconds=time.monotonic() - sent_at)
        process.stops.note_claimed((message.request_id for message in messages), at=sent_at)
        return ration

    def _probe(self, allowed: Limits, *, longest: float) -> Ration:
        """Let one message through if the breaker is open, its time has come, and nobody else does."""
        seconds = min(longest, settings.WAYBILL_PROBE_CEILING) + settings.WAYBILL_LEASE
        if not breakers.take_probe(self._lane, seconds=seconds):
            return slots.NOTHING
        ration = self._admitted(Asked(self._process.identity.id, self._lane, limit=1, probing=True), allowed)
        calls = [message for message in ration.batch.messages if not message.stopped and self._is_call(message.type)]
        self._fuse.let_through(calls[0].id if calls else None)
        return ration

    def _is_call(self, message_type: str) -> bool:
        known = handlers.find(message_type)
        return known is not None and known.kind is Kind.HTTP

    def _measure(self, batch: Batch) -> None:
        measures.count(Event.CLAIMS, int(bool(batch.messages)), lane=self._lane)
        for message_type, n in Counter(message.type for message in batch.messages).items():
            measures.count(Event.CLAIMED, n, of_type=message_type, lane=self._lane)
