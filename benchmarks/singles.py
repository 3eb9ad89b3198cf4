"""P2 and P3: one message a request, many at once and one alone."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks import http_load, plain_celery, waybill
from benchmarks.figures import Figure, spread
from benchmarks.stack import Running, wait_until

_POST_JOB = http_load.call("POST", "/jobs", body={"payload": {"n": 0, "text": "some fields of its own"}})


class Rates(NamedTuple):
    """Calls answered a second while they were sent; work completed a second, counted until all was done."""

    accepted: float
    completed: float


def many_singles(stack: Running, *, short: bool) -> list[Figure]:
    """P2: single-message requests over 16 connections, until all are Complete."""
    seconds = 0.5 if short else 30.0
    ours = _rates(stack.url, waybill.single(), seconds=seconds, left=lambda: waybill.open_requests(stack))
    peers = {}
    with plain_celery.web(stack) as url:
        for pool in plain_celery.pools(short=short):
            with plain_celery.worker(stack, pool=pool):
                peers[pool] = _rates(url, _POST_JOB, seconds=seconds, left=lambda: plain_celery.open_jobs(stack))
    best = max(peers.keys() & plain_celery.POOLS.keys(), key=lambda pool: peers[pool].completed)
    ratios = {pool: ours.completed / rates.completed for pool, rates in peers.items()}
    return [
        Figure("P2", "Waybill: accepted", ours.accepted, "requests/s"),
        Figure("P2", "Waybill: completed", ours.completed, "requests/s"),
        *(
            Figure("P2", f"DRF + Celery, {pool}: accepted", rates.accepted, "requests/s")
            for pool, rates in peers.items()
        ),
        *(
            Figure("P2", f"DRF + Celery, {pool}: completed", rates.completed, "requests/s", ratios[pool])
            for pool, rates in peers.items()
        ),
        Figure("P2", f"Waybill / DRF + Celery ({best})", ratios[best], "times", ratios[best], "≥ 3"),
    ]


def _rates(url: str, call: bytes, *, seconds: float, left: Callable[[], int]) -> Rates:
    http_load.repeat(url, [call], seconds=seconds / 10)  # everything is warm
    _wait_for_none(left)
    began = time.monotonic()
    accepted = http_load.repeat(url, [call], seconds=seconds)
    sent = time.monotonic()
    _wait_for_none(left)
    return Rates(accepted=accepted / (sent - began), completed=accepted / (time.monotonic() - began))


def _wait_for_none(left: Callable[[], int]) -> None:
    wait_until(lambda: not left(), what="the end of all work", within=600)


def one_single(stack: Running, *, short: bool) -> list[Figure]:
    """P3: one message on an idle system, until it is seen Complete; in turn with the peer, on the same machine."""
    times = 10 if short else 300
    figures = []
    for pool in plain_celery.pools(short=short):
        target = "≤ 1.2" if pool in plain_celery.POOLS else ""
        with plain_celery.web(stack) as url, plain_celery.worker(stack, pool=pool):
            ours, theirs = asyncio.run(_in_turn(stack.url, url, times=times))
        median, late = spread(ours)
        their_median, their_late = spread(theirs)
        figures += [
            Figure("P3", "Waybill: median", median, "ms"),
            Figure("P3", "Waybill: p99 / median", late, "ms", late / median, "≤ 5"),
            Figure("P3", f"DRF + Celery, {pool}: median", their_median, "ms", median / their_median, target),
            Figure("P3", f"DRF + Celery, {pool}: p99", their_late, "ms", their_late / their_median),
        ]
    return figures


async def _in_turn(our_url: str, their_url: str, *, times: int) -> tuple[list[float], list[float]]:
    ours, theirs = await http_load.Connection.to(our_url), await http_load.Connection.to(their_url)
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(times + 10):
        for of, latency in zip(seconds, (waybill.latency(ours, waybill.single()), _their_latency(theirs)), strict=True):
            took = await latency
            if turn >= 10:  # everything is warm
                of.append(took)
            await asyncio.sleep(0.05)  # what goes on behind the answer has ended
    return seconds


async def _their_latency(connection: http_load.Connection) -> float:
    began = time.monotonic()
    job = (await connection.send(_POST_JOB)).json()["id"]
    look = http_load.call("GET", f"/jobs/{job}")
    while b'"complete"' not in (await connection.send(look)).body:  # noqa: ASYNC110 - it is elsewhere
        await asyncio.sleep(http_load.PAUSE)
    return time.monotonic() - began
