"""P6: a small client beside a large one."""

import time
from statistics import median

from benchmarks import waybill
from benchmarks.figures import Figure
from benchmarks.stack import Running

_LANE, _NEIGHBOUR = "Vehicle", "neighbour"
_WINDOW = 100
"""How many calls a worker process has in flight: WAYBILL_WINDOW_CALLS."""


def behind_a_backlog(running: Running, *, short: bool) -> list[Figure]:
    """P6: one message of a client while another has 200,000 queued in the same lane, a tenth of which is retried."""
    requests, per_request, times = (2, 1_000, 3) if short else (20, 10_000, 20)
    waybill.manage(running, "client", _NEIGHBOUR, "--secret", f"{_NEIGHBOUR}-secret")
    idle = _latency(running, times=times)
    backlog = [_hand_in(running, per_request) for _ in range(requests)]
    _pause(running, paused=False)
    before, began = _finished(running), time.monotonic()
    beside = _latency(running, times=times)
    rate = max(_finished(running) - before, 1) / (time.monotonic() - began)
    left = int(waybill.ask(running, "SELECT sum(open) FROM orchestrator_request WHERE open > 0") or 0)
    for request_id in backlog:
        waybill.call(running, "POST", f"/api/v1/requests/{request_id}/cancel")
    after = _latency(running, times=times)
    batch = _WINDOW / (rate / 2)  # the time in which one of two worker processes works off what it holds
    bound = 2 * idle + batch
    return [
        Figure("P6", "alone in the lane: median", 1000 * idle, "ms"),
        Figure("P6", f"one batch of {_WINDOW} beside it, at {rate:,.0f}/s in two processes", 1000 * batch, "ms"),
        Figure("P6", f"beside {left:,} queued: median", 1000 * beside, "ms", beside / bound, "≤ 1"),
        Figure("P6", "after those were cancelled: median", 1000 * after, "ms", after / bound, "≤ 1"),
    ]


def _hand_in(running: Running, messages: int) -> str:
    """Hand in a request for the lane, which stands still meanwhile."""
    _pause(running, paused=True)
    body = waybill.submission(messages, message_type=_LANE)
    for message in body["payload"][::10]:
        message["sandbox"] = {"status": 503, "times": 1}
    return str(waybill.call(running, "POST", "/api/v1/requests", body)["data"]["id"])


def _pause(running: Running, *, paused: bool) -> None:
    waybill.ask(
        running,
        "UPDATE orchestrator_lane SET paused = %(paused)s WHERE name = %(lane)s",
        {"lane": _LANE, "paused": paused},
    )


def _finished(running: Running) -> int:
    return int(waybill.ask(running, "SELECT sum(complete + failed) FROM orchestrator_request"))


def _latency(running: Running, *, times: int) -> float:
    """Return the median seconds of the neighbour's single messages."""
    return median(waybill.latencies(running, times=times, message_type=_LANE, client=_NEIGHBOUR))
