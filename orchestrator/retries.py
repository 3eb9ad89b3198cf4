"""Whether a message is tried again, and when: pure policy.

In: how many tries there were, and what the back end wished. Out: seconds to wait, or None for "no more".
Called by processing: each message type has its policy.
"""

import random
from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Policy:
    """How patiently a type is retried: `attempts` in all, waits from `first` doubling to `ceiling` seconds."""

    attempts: int
    first: float
    ceiling: float
    wish_ceiling: float

    @classmethod
    def from_settings(cls, *, attempts: int | None = None) -> "Policy":
        """Take the house's numbers, with another number of attempts where one is given."""
        return cls(
            attempts=attempts or settings.WAYBILL_RETRY_ATTEMPTS,
            first=settings.WAYBILL_RETRY_FIRST,
            ceiling=settings.WAYBILL_RETRY_CEILING,
            wish_ceiling=settings.WAYBILL_RETRY_AFTER_CEILING,
        )

    def delay(self, *, attempts: int, wish: float | None = None, chance: random.Random | None = None) -> float | None:
        """Return the seconds until the next try, after `attempts` recorded ones; None when there is none.

        Full jitter: anywhere between 0 and the doubled wait, so that a crowd that failed together does not come
        back together. `wish` is the back end's Retry-After in seconds, honoured up to `wish_ceiling`.
        """
        if attempts >= self.attempts:
            return None
        longest = min(self.ceiling, self.first * 2 ** (attempts - 1))
        jittered = (chance or random).uniform(0, longest)
        return max(jittered, min(wish, self.wish_ceiling)) if wish is not None else jittered
