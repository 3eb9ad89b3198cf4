"""Traces cost nothing where they are off, and nothing but themselves where the collector is dead."""

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress

import pytest
from pytest_django import Settings

from orchestrator import tracing
from orchestrator.outcomes import Ending, Outcome
from orchestrator.queue import Claimed
from tests.acceptance import collector
from tests.waiting import eventually

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = f"{SAMPLED[:-1]}0"
LOGGER = "orchestrator.exporting"


def claimed(traceparent: str | None = SAMPLED) -> Claimed:
    return Claimed(
        claim_id=1,
        id=uuid.uuid4(),
        request_id=uuid.uuid4(),
        client_id=1,
        type="Echo",
        external_reference=None,
        payload="{}",
        turn=1,
        attempts=0,
        losses=0,
        traceparent=traceparent,
        stopped=False,
        halting=False,
    )


def follow(message: Claimed) -> str | None:
    """One message through a worker; returns the traceparent that its handler saw."""
    tracing.claimed([message], lane="Echo", seconds=0.001)
    with tracing.working(message):
        seen = tracing.current()
    record(message)
    return seen


def record(message: Claimed) -> None:
    outcome = Outcome(message.id, message.request_id, message.claim_id, Ending.COMPLETE)
    tracing.recorded([outcome], seconds=0.001)


@pytest.fixture
def live_collector(settings: Settings) -> Iterator[collector.Collector]:
    with collector.running() as live:
        settings.OTEL_EXPORTER_OTLP_ENDPOINT = live.url
        tracing.begin(role="worker")
        yield live
        tracing.end()


@pytest.fixture
def dead_collector(settings: Settings) -> Iterator[None]:
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:1"
    tracing.begin(role="worker")
    yield
    tracing.end()


def test_off_there_are_no_spans(settings: Settings) -> None:
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = ""
    tracing.begin(role="worker")

    assert not tracing.is_on()
    assert follow(claimed()) is None


@pytest.mark.usefixtures("live_collector")
def test_a_message_is_followed_in_the_trace_that_it_came_with() -> None:
    seen = follow(claimed())

    assert seen is not None
    assert seen.split("-")[1] == SAMPLED.split("-")[1]
    assert seen.split("-")[2] != SAMPLED.split("-")[2]
    assert tracing._journeys == {}


@pytest.mark.usefixtures("live_collector")
@pytest.mark.parametrize("traceparent", [None, UNSAMPLED])
def test_what_is_not_sampled_is_not_followed(traceparent: str | None) -> None:
    assert follow(claimed(traceparent)) is None


def test_an_error_is_told_by_its_class_and_never_quoted(live_collector: collector.Collector) -> None:
    message = claimed()
    tracing.claimed([message], lane="Echo", seconds=0.001)

    with suppress(ValueError), tracing.working(message), tracing.calling("http://back.end/"):
        raise ValueError("what the back end quotes of a payload")
    record(message)
    tracing.end()

    [call] = [span for span in live_collector.spans if span.name == "POST"]
    assert call.trouble == "ValueError"


@pytest.mark.usefixtures("dead_collector")
def test_a_dead_collector_costs_no_time_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """More spans than the queue holds, so that some are dropped, and more than one batch."""
    for _ in range(4000):
        follow(claimed())

    eventually(lambda: [record for record in caplog.records if record.name == LOGGER], within=20, what="the warning")
    began = time.monotonic()
    tracing.end()

    assert time.monotonic() - began < 5
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.name for record in lines] == [LOGGER]
