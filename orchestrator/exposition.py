"""What Prometheus reads: every figure with its name, its unit and its labels.

In: tallies, live figures of lanes and workers, breakers, and this process's HTTP calls. Out: metric families.
Called by `api/metrics.py`. docs/metrics.md explains each.

The ledger is asked at most once a second, however often somebody looks, by one thread, within two seconds; when it is
away, what is left says so (`waybill_up` 0).
"""

import platform
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate

import structlog
from django.conf import settings
from django.db import Error, connection
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from orchestrator import board, breakers, ledger_pool, measures, tallies, traffic
from orchestrator.board import LaneNow, WorkerNow
from orchestrator.breakers import BreakerState, BreakerStatus
from orchestrator.lifecycle import FINAL, FailureKind
from orchestrator.measures import Event
from orchestrator.tallies import Total

log = structlog.get_logger(__name__)

_KNOWN_FOR_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0

_OUTCOMES = {measures.final(status) for status in FINAL}
_KINDS = {kind.value for kind in FailureKind}
_OF_MESSAGES = {
    Event.RECEIVED: ("waybill_messages_received", "Messages stored by intake, Invalid ones too"),
    Event.CLAIMED: ("waybill_messages_claimed", "Messages leased to a worker"),
    Event.RETRIED: ("waybill_retries", "Tries that failed and are followed by another"),
    Event.RETURNED: ("waybill_messages_returned", "Messages that a worker gave back itself"),
    Event.RESCUED: ("waybill_rescues", "Messages given back after their worker was lost"),
}
_WAKE_UPS = {Event.WOKEN: "published", Event.NOT_WOKEN: "failed", Event.WAKE_SPARED: "spared"}
_CALLED = measures.called("")


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the ledger told; without an answer `up` is false, and the lists are empty."""

    up: bool = False
    lanes: Sequence[LaneNow] = ()
    workers: Sequence[WorkerNow] = ()
    breakers: Sequence[BreakerState] = ()
    totals: Sequence[Total] = ()


@dataclass(slots=True)
class _Look:
    """The last look at the ledger, or the one under way."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="metrics"))
    answer: "Future[Ledger] | None" = None
    began_at: float = 0.0

    def take(self) -> "Future[Ledger]":
        """Return a look that is a second old at most, or one that has not come back yet: then nobody asks again."""
        with self.lock:
            fresh = time.monotonic() - self.began_at <= _KNOWN_FOR_SECONDS
            if self.answer is None or (self.answer.done() and not fresh):
                self.answer = self.thread.submit(_ask)
                self.began_at = time.monotonic()
            return self.answer


_look = _Look()


def read_ledger() -> Ledger:
    """Return what the ledger tells, at most a second old. One that is away or stands still tells nothing."""
    try:
        return _look.take().result(timeout=_PATIENCE_SECONDS)
    except TimeoutError:
        return Ledger()


def _ask() -> Ledger:
    try:
        return Ledger(
            up=True,
            lanes=board.read_lanes(),
            workers=board.read_workers(),
            breakers=breakers.states(),
            totals=tallies.read_totals(),
        )
    except Error as failure:
        ledger_pool.renew_after(failure)
        log.warning("metrics without the ledger", error=repr(failure))
        return Ledger()
    finally:
        connection.close()


class Everything(Collector):
    """All metric families, in the order of their names in docs/metrics.md."""

    def collect(self) -> Iterable[Metric]:
        """Yield each family, with or without samples."""
        ledger = read_ledger()
        yield _value("waybill_up", "Whether the ledger answered", float(ledger.up))
        yield _build_info()
        yield from _lanes(ledger.lanes)
        yield _workers(ledger)
        yield _breakers(ledger.breakers)
        yield from _messages(ledger.totals)
        yield from _of_lanes(ledger.totals)
        yield _durations("waybill_message_seconds", "From receipt to the final status", ledger.totals, _OUTCOMES)
        yield _calls(ledger.totals)
        yield from _http()


registry = CollectorRegistry(auto_describe=False)
registry.register(Everything())


def _value(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _build_info() -> Metric:
    labels = ["version", "python"]
    built = GaugeMetricFamily("waybill_build_info", "Always 1; the labels tell what runs", labels=labels)
    built.add_metric([str(settings.SPECTACULAR_SETTINGS["VERSION"]), platform.python_version()], 1)
    return built


def _lanes(lanes: Sequence[LaneNow]) -> Iterator[Metric]:
    def family(name: str, text: str, samples: Iterable[tuple[str, float | None]]) -> Metric:
        gauge = GaugeMetricFamily(f"waybill_lane_{name}", text, labels=["lane"])
        for lane, value in samples:
            if value is not None:
                gauge.add_metric([lane], value)
        return gauge

    yield family("queued_messages", "Messages that can be claimed now", ((at.name, at.queued.number) for at in lanes))
    yield family(
        "oldest_seconds", "The longest wait among the next in line", ((at.name, at.oldest or 0) for at in lanes)
    )
    yield family("processing_messages", "Messages that a worker holds", ((at.name, at.processing) for at in lanes))
    yield family(
        "retrying_messages", "Messages that wait for their next try", ((at.name, at.retrying.number) for at in lanes)
    )
    yield family("paused", "1 while the lane is paused", ((at.name, at.paused) for at in lanes))


def _workers(ledger: Ledger) -> Metric:
    """Always with all states: one that is missing could not be told from nought."""
    workers = GaugeMetricFamily("waybill_workers", "Worker processes on the list, by state", labels=["state"])
    states = [_state(worker) for worker in ledger.workers]
    for state in ("working", "draining", "silent") if ledger.up else ():
        workers.add_metric([state], states.count(state))
    return workers


def _state(worker: WorkerNow) -> str:
    if not worker.is_alive:
        return "silent"
    return "draining" if worker.draining else "working"


def _breakers(states: Sequence[BreakerState]) -> Metric:
    family = GaugeMetricFamily(
        "waybill_breaker_state", "1 for the state in which the lane's breaker is", labels=["lane", "state"]
    )
    for known in states:
        for status in BreakerStatus:
            family.add_metric([known.lane, status.value.replace(" ", "_")], float(known.status is status))
    return family


def _messages(totals: Sequence[Total]) -> Iterator[Metric]:
    """Counters of messages, by type and lane."""
    for event, (name, text) in _OF_MESSAGES.items():
        family = CounterMetricFamily(name, text, labels=["type", "lane"])
        for total in totals:
            if total.event == event.value:
                family.add_metric([total.type, total.lane], total.count)
        yield family
    yield _named("waybill_outcomes", "Messages that became final", "status", totals, {name: name for name in _OUTCOMES})
    yield _named(
        "waybill_failures", "Failed messages by what was to blame", "kind", totals, {kind: kind for kind in _KINDS}
    )


def _named(name: str, text: str, label: str, totals: Sequence[Total], words: dict[str, str]) -> Metric:
    family = CounterMetricFamily(name, text, labels=["type", "lane", label])
    for total in totals:
        if total.event in words:
            family.add_metric([total.type, total.lane, words[total.event]], total.count)
    return family


def _of_lanes(totals: Sequence[Total]) -> Iterator[Metric]:
    claims = CounterMetricFamily("waybill_claims", "Claims that brought messages", labels=["lane"])
    wake_ups = CounterMetricFamily("waybill_wakeups", "Wake-ups of a lane, by result", labels=["lane", "result"])
    for total in totals:
        if total.event == Event.CLAIMS.value:
            claims.add_metric([total.lane], total.count)
        for event, result in _WAKE_UPS.items():
            if total.event == event.value:
                wake_ups.add_metric([total.lane, result], total.count)
    yield claims
    yield wake_ups


def _durations(name: str, text: str, totals: Sequence[Total], events: Iterable[str]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=["type", "lane", "status"])
    for total in totals:
        if total.event in events:
            _add(family, [total.type, total.lane, total.event], total.buckets, total.seconds, measures.BOUNDS)
    return family


def _calls(totals: Sequence[Total]) -> Metric:
    text = "Calls of back ends and asynchronous handlers"
    family = HistogramMetricFamily("waybill_call_seconds", text, labels=["type", "lane", "result"])
    for total in totals:
        if total.event.startswith(_CALLED):
            result = total.event.removeprefix(_CALLED).replace(" ", "_")
            _add(family, [total.type, total.lane, result], total.buckets, total.seconds, measures.BOUNDS)
    return family


def _http() -> Iterator[Metric]:
    """This process's own calls: not in the ledger, so they are there when it is away."""
    figures = traffic.read()
    answers = CounterMetricFamily(
        "waybill_http_requests", "HTTP calls answered by this process", labels=["method", "route", "status"]
    )
    for (method, route, status), count in sorted(figures.answers.items()):
        answers.add_metric([method, route, str(status)], count)
    durations = HistogramMetricFamily(
        "waybill_http_request_seconds", "Until the answer began", labels=["method", "route"]
    )
    for labels, duration in sorted(figures.durations.items()):
        _add(durations, list(labels), duration.buckets, duration.seconds, traffic.BOUNDS)
    yield answers
    yield durations


def _add(
    family: HistogramMetricFamily, labels: list[str], buckets: Sequence[int], seconds: float, bounds: Sequence[float]
) -> None:
    """Add a histogram of which each bucket was counted by itself: Prometheus wants them cumulative."""
    names = [*(str(bound) for bound in bounds), "+Inf"]
    family.add_metric(labels, list(zip(names, map(float, accumulate(buckets)), strict=True)), seconds)
