"""A lane's calls in flight: its async and HTTP handlers on the process's event loop.

In: claimed messages with their types. Out: their outcomes, put to the recorder as each ends. Called by the drain.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator import measures, processing, tracing
from orchestrator.fuse import Fuse
from orchestrator.handlers import Kind, MessageType
from orchestrator.outcomes import FAILURES, Outcome
from orchestrator.queue import Claimed

if TYPE_CHECKING:
    from orchestrator.worker import WorkerProcess


class Calls:
    """How many calls of one lane are in flight; they outlive the drain that launched them."""

    def __init__(self, process: "WorkerProcess", fuse: Fuse) -> None:
        """Have none in flight; calls of back ends go through `fuse`."""
        self._process = process
        self._fuse = fuse
        self._condition = threading.Condition()
        self.in_flight = 0

    def launch(self, jobs: Sequence[tuple[Claimed, MessageType]]) -> None:
        """Begin calls on the event loop: one hop for all of them."""
        if jobs:
            with self._condition:
                self.in_flight += len(jobs)
            self._process.loop.run(self._spawn, jobs)

    def wait_for_room(self, *, at_most: int, until: float) -> bool:
        """Wait until no more than `at_most` are in flight, until monotonic time `until`, or until the process stops.

        Tells whether there is room.
        """
        with self._condition:
            while self.in_flight > at_most and not self._process.stopping.is_set():
                remaining = until - time.monotonic()
                if remaining <= 0:
                    return False
                self._condition.wait(timeout=min(remaining, 0.5))
            return self.in_flight <= at_most

    def _spawn(self, jobs: Sequence[tuple[Claimed, MessageType]]) -> None:
        for message, message_type in jobs:
            self._process.loop.keep(asyncio.get_running_loop().create_task(self._run(message, message_type)))

    async def _run(self, message: Claimed, message_type: MessageType) -> None:
        outcome = await self._outcome(message, message_type)
        self._fuse.over(message)
        with self._condition:
            self.in_flight -= 1
            last = not self.in_flight
            self._condition.notify_all()
        # Under haltOnError a failure stops the neighbours that have not begun: the sooner it is known the better.
        hurry = last or (message.halting and outcome.ending in FAILURES)
        self._process.recorder.put([outcome], hurry=hurry, single=True)

    async def _outcome(self, message: Claimed, message_type: MessageType) -> Outcome:
        try:
            refusal = await self._process.gate.refusal_async(message)
        except asyncio.CancelledError:
            return processing.returned(message)
        if refusal is not None:
            return refusal
        with self._process.watch.over([message], timeout=message_type.timeout), tracing.working(message):
            call = self._fuse.call if message_type.kind is Kind.HTTP else processing.call
            began = time.monotonic()
            outcome = await call(message, message_type)
            event = measures.called(outcome.ending.value)
            measures.observe(event, [time.monotonic() - began], of_type=message.type, lane=message_type.lane_name)
            return outcome
