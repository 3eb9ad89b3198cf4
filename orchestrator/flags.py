"""The lanes' flags in the shared cache: while one is up, a wake-up of its lane is on its way.

In: a lane. Out: whether its flag was raised by us. Called by dispatch. Each raises what the cache's client raises.

The keys are those of Django's cache, but all threads share one client: Django's backend makes a new one for each call,
which costs more than the call, and keeps connections a thread.
"""

from functools import cache
from typing import Any, cast

import redis
from django.conf import settings
from django.core.cache import cache as shared_cache


def raise_flag(lane: str) -> bool:
    """Raise the flag, and tell whether it was down; without a cache it always was."""
    client = _client()
    if client is None:
        return True
    return bool(client.set(_key(lane), 1, ex=settings.WAYBILL_WAKE_FLAG, nx=True))


def lower_flag(lane: str) -> None:
    """Lower the flag, if it is up."""
    if client := _client():
        client.delete(_key(lane))


def _key(lane: str) -> str:
    return shared_cache.make_key(f"wake:{lane}")


def _client() -> redis.Redis | None:
    location = _configured().get("LOCATION")
    return _connect(location) if location else None


def _configured() -> dict[str, Any]:
    return cast("dict[str, Any]", settings.CACHES["default"])


@cache
def _connect(location: str) -> redis.Redis:
    """Connect when the first command is sent; each thread takes a connection of the client's pool for a command."""
    return redis.Redis.from_url(location, **_configured()["OPTIONS"])
