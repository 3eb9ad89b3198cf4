"""How often somebody may do something: windows that slide, counted in the cache by all processes together.

In: a rate such as `600/minute`, and who it is counted for. Out: where they stand, None when nobody can tell.
Called by the windows for each call of a client that has a rate, and by the desk's login.

The cache is a help here, never a need: when it is away the call goes through, at the cost of one bounded try a second.
"""

import math
import time
from dataclasses import dataclass
from functools import cache, lru_cache

import limits
import structlog
from django.conf import settings
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestrator.rest import Rest

log = structlog.get_logger(__name__)

UNLIMITED = "unlimited"
_SOCKET_SECONDS = 0.05  # two commands a count: a tenth of a second at most
_REST_SECONDS = 1.0


class BadRate(ValueError):
    """It must be a number and a time, such as 600/minute or 20/second, or the word unlimited."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where somebody stands. `quota` in `window` seconds; `remaining`, and the seconds until there are more."""

    quota: int
    window: int
    remaining: int
    reset: int
    exceeded: bool


def parse(text: str) -> limits.RateLimitItem | None:
    """Read a rate; None for none. Raises BadRate."""
    if text in {"", UNLIMITED}:
        return None
    return _parse(text)


def count(rate: limits.RateLimitItem, *whom: str) -> Standing | None:
    """Count one more, unless that is one too many, and return where they stand; None when the cache is away."""
    return _ask(rate, whom, counted=True)


def look(rate: limits.RateLimitItem, *whom: str) -> Standing | None:
    """Return where they stand without counting; None when the cache is away."""
    return _ask(rate, whom, counted=False)


def count_here(rate: limits.RateLimitItem, *whom: str) -> Standing:
    """Count one more in this process alone."""
    return _stand(_in_memory(), rate, whom, counted=True)


def look_here(rate: limits.RateLimitItem, *whom: str) -> Standing:
    """Return where they stand in this process alone."""
    return _stand(_in_memory(), rate, whom, counted=False)


_rest = Rest()


def _ask(rate: limits.RateLimitItem, whom: tuple[str, ...], *, counted: bool) -> Standing | None:
    if not _rest.over():
        return None
    try:
        return _stand(_in_cache(), rate, whom, counted=counted)
    except Exception as error:  # noqa: BLE001 - no cache: nobody is refused
        _rest.begin(seconds=_REST_SECONDS)
        log.info("rates are not counted", error=repr(error))
        return None


def _stand(limiter: RateLimiter, rate: limits.RateLimitItem, whom: tuple[str, ...], *, counted: bool) -> Standing:
    allowed = limiter.hit(rate, *whom) if counted else limiter.test(rate, *whom)
    resets_at, remaining = limiter.get_window_stats(rate, *whom)
    left = resets_at - time.time()
    if left <= 0 and remaining == rate.amount - 1:  # the library's modulo, in the first millisecond of a first window
        left = rate.get_expiry()
    return Standing(
        quota=rate.amount,
        window=rate.get_expiry(),
        remaining=max(0, remaining),
        reset=max(1, math.ceil(left)),
        exceeded=not allowed,
    )


@lru_cache(maxsize=1024)
def _parse(text: str) -> limits.RateLimitItem:
    try:
        (rate,) = limits.parse_many(text)
    except ValueError as malformed:
        raise BadRate(BadRate.__doc__) from malformed
    if rate.amount < 1 or rate.get_expiry() < 1:
        raise BadRate(BadRate.__doc__)
    return rate


@cache
def _in_cache() -> SlidingWindowCounterRateLimiter:
    """Count in the shared cache, by scripts of its own: of two at once at the limit, one is let through."""
    storage = RedisStorage(
        settings.CACHE_URL,
        key_prefix="waybill-rate",
        socket_timeout=_SOCKET_SECONDS,
        socket_connect_timeout=_SOCKET_SECONDS,
        retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]  # handed on to redis.from_url
    )
    return SlidingWindowCounterRateLimiter(storage)


@cache
def _in_memory() -> MovingWindowRateLimiter:
    """Count here, one by one: few are counted here, and the memory's sliding windows begin on the clock's marks."""
    return MovingWindowRateLimiter(MemoryStorage())
