"""Spans on their way to a collector, by OTLP over HTTP.

In: where the collector is (OTEL_EXPORTER_OTLP_ENDPOINT; the SDK reads its other variables itself). Out: a tracer.
Called by `tracing.begin`, in processes that make spans; nothing else loads the SDK.
"""

import os
import socket
from collections.abc import Callable, Sequence

import structlog
from django.conf import settings
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Tracer

log = structlog.get_logger(__name__)

_EXPORT_SECONDS = 5.0


class Quiet(SpanExporter):
    """Sends spans, and says once that it can't, and once that it can again: the SDK's own loggers are silenced."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Send by this exporter."""
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch. One that the collector doesn't take is lost."""
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            log.warning("traces are not taken by the collector, and dropped", spans=len(spans))
        elif self._failing and not failing:
            log.info("traces are taken again")
        self._failing = failing
        return result

    def shutdown(self) -> None:
        """End."""
        self._exporter.shutdown()


def open_tracer(*, role: str) -> tuple[Tracer, Callable[[], None]]:
    """Return a tracer, and what sends the rest of its spans and ends it."""
    endpoint = f"{settings.OTEL_EXPORTER_OTLP_ENDPOINT.rstrip('/')}/v1/traces"
    provider = TracerProvider(resource=_resource(role), shutdown_on_exit=False)
    exporter = Quiet(OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_SECONDS))
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    log.info("traces go to a collector", endpoint=endpoint)
    return provider.get_tracer("waybill", _version()), provider.shutdown


def _version() -> str:
    return str(settings.SPECTACULAR_SETTINGS["VERSION"])


def _resource(role: str) -> Resource:
    own = {"service.instance.id": f"{socket.gethostname()}:{os.getpid()}", "service.namespace": "waybill"}
    named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Resource.create(own | ({} if named else {"service.name": f"waybill-{role}", "service.version": _version()}))
