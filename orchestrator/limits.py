"""What a back end allows: calls in flight, calls a second, and failures in a row before it counts as down. Pure policy.

In: what operators wrote, of all back ends that share a lane. Out: the lane's limits. Called by the drain and the rows'
readers.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(?:/\s*(s|sec|m|min|h)?)?", re.ASCII)
_SECONDS = {None: 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
_BURST_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Limits:
    """One back end's limits, or a lane's. None: no such limit. `breaker`: failures in a row that open it; 0: never."""

    concurrency: int | None = None
    rate: float | None = None  # calls a second
    burst: int | None = None
    breaker: int = 0

    @property
    def ration(self) -> bool:
        """Whether claims must ask how many calls are left."""
        return self.concurrency is not None or self.rate is not None

    @property
    def at_once(self) -> float:
        """How many calls the bucket holds: a fifth of a second's unless told otherwise, and one at least."""
        return self.burst or max(1.0, (self.rate or 0.0) * _BURST_SECONDS)

    def until_worth_it(self, tokens: float) -> float:
        """Return the seconds until the bucket is half full, or has its next token: then a claim is worth its cost."""
        worth = max(1.0, self.at_once / 2)
        return max(0.0, worth - tokens) / (self.rate or math.inf)


NO_LIMITS = Limits()


def tightest(limits: Iterable[Limits]) -> Limits:
    """Return the limits that hold for all of a lane's back ends together: of each kind the smallest."""
    every = list(limits)
    return Limits(
        concurrency=_smallest(one.concurrency for one in every),
        rate=_smallest(one.rate for one in every),
        burst=_smallest(one.burst for one in every),
        breaker=_smallest(one.breaker or None for one in every) or 0,
    )


_Number = TypeVar("_Number", int, float)


def _smallest(numbers: Iterable[_Number | None]) -> _Number | None:
    return min((number for number in numbers if number is not None), default=None)


def read_rate(text: str) -> float:
    """Return the calls a second of a text like `10/s`, `600/min`, `100/h` or `2.5`; raise ValueError for none."""
    found = _RATE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"a rate is written 10/s, 600/min or 100/h: {text!r}")
    return float(found[1]) / _SECONDS[found[2]]
