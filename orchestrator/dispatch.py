"""Wake a lane: tell the worker processes that it has claimable messages.

In: names of lanes. Out: at most one Celery message each, on the lane's queue. Called, after commit, by whoever made a
message claimable: intake, the release of a retry, give-back, a worker that stops.

A wake-up carries nothing but the lane's name, so losing one costs delay (a sweep makes it good) and doubling one costs
a claim that finds nothing. Waking never raises, and never costs its caller more than 250 ms.
"""

import threading
import time
from collections.abc import Iterable
from enum import Enum
from functools import cache
from typing import cast

import structlog
from celery import current_app
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from kombu import Connection, pools

from orchestrator import failpoints, flags, measures, tracing
from orchestrator.failpoints import Place
from orchestrator.measures import Event
from orchestrator.rest import Rest

log = structlog.get_logger(__name__)

DRAIN = "orchestrator.drain"
"""The name of the Celery task that works a lane off."""

_QUEUES_KNOWN_FOR = 5.0


class Raised(Enum):
    """Whose flag stands for a lane: who raised it publishes the wake-up."""

    BY_US = "by us"
    BY_ANOTHER = "by another"
    BY_NOBODY = "there is no cache"


def wake_all(lanes: Iterable[str]) -> None:
    """Wake each lane once."""
    for lane in sorted(set(lanes)):
        wake(lane)


def wake(lane: str) -> None:
    """Wake a lane, unless a wake-up is on its way, or the broker has just failed: then the sweep takes over."""
    if not _broker_rest.over() or (raised := _raise_flag(lane)) is Raised.BY_ANOTHER:
        measures.count(Event.WAKE_SPARED, lane=lane)
        return
    failpoints.pass_by(Place.FLAG_RAISED)
    published = wake_regardless(lane)
    if not published and raised is Raised.BY_US:
        lower_flag(lane)


def wake_regardless(lane: str) -> bool:
    """Publish a wake-up whatever the flag says, and tell whether the broker took it."""
    try:
        with tracing.publishing(lane):
            _publish(lane)
    except Exception as error:  # noqa: BLE001 - a broker fails in as many ways as there are transports
        _broker_rest.begin(seconds=settings.WAYBILL_PUBLISH_PAUSE)
        log.warning("wake-up not published", lane=lane, error=repr(error))
        measures.count(Event.NOT_WOKEN, lane=lane)
        return False
    measures.count(Event.WOKEN, lane=lane)
    return True


def lower_flag(lane: str) -> None:
    """Forget that a wake-up is on its way. The drain does so *before* it claims, so no commit can slip between."""
    try:
        flags.lower_flag(lane)
    except Exception as error:  # noqa: BLE001 - the flag falls by itself
        log.debug("flag not lowered", lane=lane, error=repr(error))


def warm_up() -> None:
    """Open the publisher's connection, so that a process's first POST doesn't pay for it."""
    try:
        with _producers().acquire(block=True, timeout=1) as producer:
            _ = producer.channel  # opens it
    except Exception as error:  # noqa: BLE001 - the broker may be away: the first publish will see
        log.info("broker not reached at start", error=repr(error))


_broker_rest = Rest()
_cache_rest = Rest()


def _raise_flag(lane: str) -> Raised:
    """Raise the lane's flag, and tell who has; without a cache nobody has, and every wake-up is published."""
    if not _cache_rest.over():
        return Raised.BY_NOBODY
    try:
        ours = flags.raise_flag(lane)
    except Exception as error:  # noqa: BLE001 - no cache: publish
        _cache_rest.begin(seconds=settings.WAYBILL_PUBLISH_PAUSE)
        log.debug("flag not raised", lane=lane, error=repr(error))
        return Raised.BY_NOBODY
    return Raised.BY_US if ours else Raised.BY_ANOTHER


def _publish(lane: str) -> None:
    with _producers().acquire(block=True, timeout=settings.WAYBILL_WAKE_PATIENCE) as producer:
        current_app.send_task(DRAIN, kwargs={"lane": lane}, queue=_queues.of(lane), producer=producer, retry=False)


@cache
def _producers() -> pools.ProducerPool:
    """A publisher of our own: Celery's defaults would let a dead broker hold a POST for six seconds."""
    patience = settings.WAYBILL_WAKE_PATIENCE
    options = {
        "max_retries": 0,
        "socket_timeout": patience,
        "socket_connect_timeout": patience,
        "retry_on_timeout": False,
    }
    publisher = Connection(
        settings.BROKER_URL,
        connect_timeout=patience,
        transport_options=options if settings.BROKER_URL.startswith("redis") else {"max_retries": 0},
    )
    return cast("pools.ProducerPool", pools.producers[publisher])


class _Queues:
    """Which Celery queue serves which lane: read from the ledger every few seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        self._read_at = float("-inf")

    def of(self, lane: str) -> str:
        with self._lock:
            if time.monotonic() - self._read_at > _QUEUES_KNOWN_FOR or lane not in self._known:
                self._read()
            return self._known.get(lane, settings.CELERY_TASK_DEFAULT_QUEUE)

    def _read(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT name, queue FROM orchestrator_lane")
                self._known = dict(cursor.fetchall())
                self._read_at = time.monotonic()
        except DatabaseError as error:
            log.debug("lanes not read", error=repr(error))


_queues = _Queues()
