"""Traces (OpenTelemetry): one from the POST through the wake-up, the claim and the call to the outcome.

In: calls, claims, handlers and flushes as they begin and end. Out: spans to a collector, from a background thread.
Called by the server's handler, the doors, dispatch, the drains and their calls, and the recorder.

Off unless OTEL_EXPORTER_OTLP_ENDPOINT is set: then nothing of the SDK is loaded, and each place here costs one look at
a name. On, only messages are followed whose trace is sampled. What connects the processes is the traceparent that the
ledger keeps with the request; what connects the steps of a message in one worker is kept here until it is recorded.
A collector that is slow or dead costs neither time nor lines: spans are dropped, and one warning says so.
"""

import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import structlog
from django.conf import settings
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from orchestrator import context

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from orchestrator.outcomes import Outcome
    from orchestrator.queue import Claimed

log = structlog.get_logger(__name__)

_CLOSING_SECONDS = 2.0

_tracer: Tracer | None = None
_close: Any = None
_propagator = TraceContextTextMapPropagator()
_journeys: "dict[uuid.UUID, Context]" = {}
"""Where each message that is followed stands: the span that its next step follows."""

Carrier = dict[str, str]


def is_on() -> bool:
    """Tell whether this process makes spans."""
    return _tracer is not None


def begin(*, role: str) -> None:
    """Make spans from now on, if a collector is configured. `role`: web or worker."""
    global _tracer, _close
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT and _tracer is None:
        from orchestrator import exporting  # noqa: PLC0415 - the SDK is loaded only where it is wanted

        _tracer, _close = exporting.open_tracer(role=role)


def end() -> None:
    """Send what is left, for two seconds at most: a dead collector must not hold up the end of a process."""
    global _tracer  # noqa: PLW0603
    if _tracer is not None:
        _tracer = None
        closing = threading.Thread(target=_close, name="traces", daemon=True)
        closing.start()
        closing.join(_CLOSING_SECONDS)


def current() -> str | None:
    """Return the traceparent of the span that this thread or task is in; None outside of any."""
    if _tracer is None:
        return None
    carrier: Carrier = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


# ---------------------------------------------------------------- the web process


@contextmanager
def serving(*, method: str, traceparent: str | None) -> Iterator[Span | None]:
    """Stand around an HTTP call; `named` says later which route it took. Its path stays out: it may name a person."""
    if _tracer is None:
        yield None
        return
    attributes = {"http.request.method": method}
    with _span(_tracer, method, context=_read(traceparent), kind=SpanKind.SERVER, attributes=attributes) as span:
        yield span


def named(span: Span, *, method: str, route: str | None, status: int) -> None:
    """Say which route a call took, and how it was answered."""
    if route is not None:
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))


@contextmanager
def publishing(lane: str) -> Iterator[None]:
    """Stand around the publishing of a wake-up."""
    if _tracer is None or not trace.get_current_span().is_recording():
        yield
        return
    attributes = {**_messaging(lane, "send", "send"), "messaging.system": settings.BROKER_URL.split(":")[0]}
    with _span(_tracer, f"send {lane}", kind=SpanKind.PRODUCER, attributes=attributes):
        yield


# ---------------------------------------------------------------- the worker process


def claimed(messages: "Sequence[Claimed]", *, lane: str, seconds: float) -> None:
    """Follow those of the claimed messages whose trace is sampled; the claim took `seconds` until now."""
    if _tracer is None:
        return
    now = time.time_ns()
    for message in messages:
        if _is_sampled(message.traceparent):
            span = _tracer.start_span(
                f"claim {lane}",
                context=_read(message.traceparent),
                kind=SpanKind.CONSUMER,
                start_time=now - int(seconds * 1e9),
                attributes={
                    **_messaging(lane, "claim", "receive"),
                    **_ids(message),
                    "messaging.batch.message_count": len(messages),
                },
            )
            span.end(now)
            _journeys[message.id] = trace.set_span_in_context(span)


class working:  # noqa: N801 - used as a function: a generator would cost three times as much
    """Stand around a handler: what it logs is about the message, and what it does is part of its trace."""

    __slots__ = ("_about", "_message", "_span", "_token")

    def __init__(self, message: "Claimed") -> None:
        """Nothing begins yet."""
        self._message = message
        self._span: Span | None = None

    def __enter__(self) -> Self:
        """Begin."""
        self._about = context.message.set(self._message)
        if _tracer is not None and (journey := _journeys.get(self._message.id)) is not None:
            self._begin(_tracer, journey)
        return self

    def __exit__(self, *_: object) -> None:
        """End; the message's next step follows this one."""
        context.message.reset(self._about)
        if self._span is not None:
            self._span.end()
            otel_context.detach(self._token)

    def _begin(self, tracer: Tracer, journey: "Context") -> None:
        self._span = _start(tracer, self._message, journey)
        _journeys[self._message.id] = trace.set_span_in_context(self._span)
        self._token = otel_context.attach(_journeys[self._message.id])


@contextmanager
def working_together(messages: "Sequence[Claimed]") -> Iterator[None]:
    """Stand around a batch handler: each of its messages was worked on as long as all of them."""
    began = time.time_ns()
    yield
    if _tracer is None:
        return
    for message in messages:
        if (journey := _journeys.get(message.id)) is not None:
            span = _start(_tracer, message, journey, began=began)
            span.end()
            _journeys[message.id] = trace.set_span_in_context(span)


def _start(tracer: Tracer, message: "Claimed", journey: "Context", *, began: int | None = None) -> Span:
    return tracer.start_span(
        f"process {message.type}",
        context=journey,
        kind=SpanKind.CONSUMER,
        start_time=began,
        attributes={**_messaging(message.type, "process", "process"), **_ids(message)},
    )


@contextmanager
def calling(url: str) -> Iterator[Span | None]:
    """Stand around a call of a back end; its traceparent is `current()`, the status is for `answered`."""
    if _tracer is None or not trace.get_current_span().is_recording():
        yield None
        return
    parts = urllib.parse.urlsplit(url)
    attributes: Mapping[str, Any] = {
        "http.request.method": "POST",
        "server.address": parts.hostname or "",
        "server.port": parts.port or (443 if parts.scheme == "https" else 80),
        "url.full": urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")),
    }
    with _span(_tracer, "POST", kind=SpanKind.CLIENT, attributes=attributes) as span:
        yield span


def answered(span: Span | None, *, status: int) -> None:
    """Say how a back end answered."""
    if span is not None:
        span.set_attribute("http.response.status_code", status)
        if status >= 400:
            span.set_attribute("error.type", str(status))
            span.set_status(Status(StatusCode.ERROR))


def recorded(outcomes: "Sequence[Outcome]", *, seconds: float) -> None:
    """The outcomes are in the ledger, or given up: the last step of their messages, which took `seconds` until now."""
    if _tracer is None or not _journeys:
        return
    now = time.time_ns()
    for outcome in outcomes:
        if (journey := _journeys.pop(outcome.message_id, None)) is not None:
            span = _tracer.start_span(
                "record outcome",
                context=journey,
                start_time=now - int(seconds * 1e9),
                attributes={
                    "waybill.outcome": outcome.ending.value,
                    "waybill.request.id": str(outcome.request_id),
                    "messaging.message.id": str(outcome.message_id),
                },
            )
            span.end(now)


# ---------------------------------------------------------------- words (OpenTelemetry's semantic conventions)


def _messaging(destination: str, name: str, kind: str) -> dict[str, str]:
    return {
        "messaging.system": "waybill",
        "messaging.destination.name": destination,
        "messaging.operation.name": name,
        "messaging.operation.type": kind,
    }


def _ids(message: "Claimed") -> dict[str, str]:
    return {"messaging.message.id": str(message.id), "waybill.request.id": str(message.request_id)}


@contextmanager
def _span(tracer: Tracer, name: str, **options: Any) -> Iterator[Span]:
    """Be in a span. An error that passes through is told by its class: its text may quote a payload or a password."""
    with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False, **options) as span:
        try:
            yield span
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def _read(traceparent: str | None) -> "Context":
    return _propagator.extract({"traceparent": traceparent} if traceparent else {}, context=otel_context.Context())


def _is_sampled(traceparent: str | None) -> bool:
    """The last flag of the header (W3C Trace Context §3.2.2.5), which every version has in the same place."""
    return traceparent is not None and bool(int(traceparent[53:55], 16) & 1)
