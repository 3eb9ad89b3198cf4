"""What this process sees of a lane's back ends: each call is timed and judged, and a row of failures trips at once.

In: calls of one lane, on the event loop. Out: their outcomes, and what was seen, told to the breaker that all processes
share: by the drain before it claims, and by housekeeping. Between two tellings nothing of it costs a statement.
"""

import threading
import time
import uuid
from dataclasses import replace
from functools import partial

import structlog
from django.conf import settings

from orchestrator import breakers, handlers, processing
from orchestrator.backends import Busy, Down, NotReached
from orchestrator.breakers import Probe, Sight
from orchestrator.handlers import MessageType
from orchestrator.outcomes import Ending, Outcome
from orchestrator.queue import Claimed

log = structlog.get_logger(__name__)

_FREE_PROBES = 50
"""So often a message may fail as a probe (or be lost) before it counts as a try: it may itself be what fails."""
_LONGEST_TEXT = 300


class Fuse:
    """One lane's, in one worker process. Safe from any thread."""

    def __init__(self, lane: str) -> None:
        """Be whole."""
        self._lane = lane
        self._lock = threading.Lock()
        self._sight = Sight()
        self._in_a_row = 0
        self._known_failures = 0
        self._breaker = 0
        self._known_broken = False
        self.blown = False
        self._probe: uuid.UUID | None = None

    # ------------------------------------------------------------ calls

    async def call(self, message: Claimed, message_type: MessageType) -> Outcome:
        """Carry a message out, unless the breaker has opened since it was claimed: then it goes back untouched."""
        if self.blown and message.id != self._probe:
            return processing.returned(message)
        began = time.monotonic()
        outcome = await processing.call(message, message_type, failing=partial(self._judge, began=began))
        if outcome.ending is Ending.COMPLETE:
            self._note_answer(message, began)
        return outcome

    def _judge(self, message: Claimed, message_type: MessageType, error: BaseException, *, began: float) -> Outcome:
        """Make the outcome of a call that failed. While a breaker is open, a back end that is down costs no attempt."""
        if not isinstance(error, NotReached | Down | handlers.TooSlow):
            wish = error.after if isinstance(error, Busy) else None
            self._note_answer(message, began, hold=wish)
            return processing.failed(message, message_type, error)
        is_probe = message.id == self._probe
        self._note_failure(message, error)
        if isinstance(error, NotReached) and self.blown:
            return processing.returned(message)
        if is_probe and message.losses < _FREE_PROBES:
            # Sent, so it leaves its mark; and released anew, it stands behind the next: one bad message, always the
            # probe, would keep the breaker open for ever.
            return processing.ended(message, Ending.INTERRUPTED, delay=0.0)
        return processing.failed(message, message_type, error)

    def over(self, message: Claimed) -> None:
        """Note that a message is done with; a probe that never got as far as its call is void."""
        with self._lock:
            if message.id == self._probe and self._sight.probe is None:
                self._sight = replace(self._sight, probe=Probe.VOID)

    def _note_answer(self, message: Claimed, began: float, *, hold: float | None = None) -> None:
        with self._lock:
            seen = self._sight
            self._in_a_row = 0
            self._sight = replace(
                seen,
                answered=True,
                failures=0,
                calls=seen.calls + 1,
                seconds=seen.seconds + time.monotonic() - began,
                hold=seen.hold if hold is None else max(seen.hold or 0.0, min(hold, settings.WAYBILL_HOLD_CEILING)),
                probe=Probe.ANSWERED if message.id == self._probe else seen.probe,
            )

    def _note_failure(self, message: Claimed, error: BaseException) -> None:
        with self._lock:
            seen = self._sight
            self._in_a_row += 1
            self.blown = self.blown or 0 < self._breaker <= self._in_a_row
            self._sight = replace(
                seen,
                failures=seen.failures + 1,
                last_failure=str(error)[:_LONGEST_TEXT],
                probe=Probe.FAILED if message.id == self._probe else seen.probe,
            )

    # ------------------------------------------------------------ claims

    def let_through(self, message_id: uuid.UUID | None) -> None:
        """Let this message through although the breaker is open; None: the right to a probe found no use."""
        with self._lock:
            self._probe = message_id
            self._sight = replace(self._sight, probe=None if message_id else Probe.VOID)

    def mend(self) -> None:
        """A claim brought messages: the breaker that all share is closed."""
        with self._lock:
            if self.blown:
                self.blown = self._known_broken = False
                self._in_a_row = 0

    # ------------------------------------------------------------ telling

    def tell(self, *, breaker: int, everything: bool = False) -> bool:
        """Tell the breaker what was seen, if it matters to others or `everything`; tell whether that has closed it.

        `breaker`: so many failures in a row open it. Raises the database's error, and forgets nothing then.
        """
        self._breaker = breaker
        with self._lock:
            seen = self._sight
            if not (self._matters(seen) or (everything and seen.calls)):
                return False
            self._sight = Sight()
            # Now: as soon as this is told the next probe may be ours again.
            self._probe = None if seen.probe is not None else self._probe
        try:
            standing = breakers.tell(self._lane, seen, breaker=breaker)
        except Exception:
            with self._lock:
                self._sight = _added(seen, self._sight)
            raise
        self._learn(seen, standing)
        return seen.probe is Probe.ANSWERED

    def _matters(self, seen: Sight) -> bool:
        trouble = seen.failures or seen.hold is not None or seen.probe is not None
        return bool(trouble or (seen.answered and self._known_failures))

    def _learn(self, seen: Sight, standing: breakers.Standing) -> None:
        with self._lock:
            is_news = standing.broken is not self._known_broken
            self.blown = self._known_broken = standing.broken
            self._known_failures = self._in_a_row = standing.failures
        if standing.broken and is_news:
            log.warning("back end is down", lane=self._lane, failures=standing.failures, last=seen.last_failure)
        elif seen.probe is Probe.ANSWERED:
            log.info("back end answers again", lane=self._lane)


def _added(first: Sight, then: Sight) -> Sight:
    """Put two sights together, one after the other."""
    return Sight(
        answered=first.answered or then.answered,
        failures=then.failures if then.answered else first.failures + then.failures,
        calls=first.calls + then.calls,
        seconds=first.seconds + then.seconds,
        last_failure=then.last_failure or first.last_failure,
        hold=max((hold for hold in (first.hold, then.hold) if hold is not None), default=None),
        probe=then.probe or first.probe,
    )
