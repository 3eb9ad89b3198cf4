"""SSE: clients that wait on streams, what they cost the web server, and how fast it reads for others beside them.

Each follows a request of its own, the dearest case: nothing is shared but the watcher's statement.
"""

import asyncio
import resource
import time
from collections.abc import Sequence
from statistics import median, quantiles
from urllib.parse import urlsplit

import psycopg

from benchmarks import http_load, usage, waybill
from benchmarks.figures import Figure
from benchmarks.stack import Running

_CLIENTS, _CLIENTS_SHORT = 2000, 40
_SECONDS, _SECONDS_SHORT = 5.0, 0.5
_AT_ONCE = 16
_END_WITHIN = 120.0


def many_waiting(running: Running, *, short: bool) -> list[Figure]:
    """SSE: the server without followers, with them while nothing happens, and when all their requests end at once."""
    clients, seconds = (_CLIENTS_SHORT, _SECONDS_SHORT) if short else (_CLIENTS, _SECONDS)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return asyncio.run(_measure(running, clients=clients, seconds=seconds))


async def _measure(running: Running, *, clients: int, seconds: float) -> list[Figure]:
    """Read alone, then beside so many streams on which nothing happens; then let all of them end."""
    async with await psycopg.AsyncConnection.connect(running.database_url, autocommit=True) as ledger:
        await _hand_in(running, 1)  # a lane comes with its first message
        await ledger.execute("UPDATE orchestrator_lane SET paused = true WHERE name = 'Echo'")
        requests = await _hand_in(running, clients)
        read = http_load.call("GET", f"/api/v1/requests/{requests[0]}", headers=waybill.headers())
        await _read_for(running, read, seconds=seconds)
        alone = await _read_for(running, read, seconds=seconds)
        web = usage.find("config.asgi", port=str(urlsplit(running.url).port))
        memory, threads = usage.resident(web), usage.threads(web)
        streams = await _follow(running, requests)
        with usage.Cores() as idle:
            await asyncio.sleep(seconds)
        memory, threads = usage.resident(web) - memory, usage.threads(web) - threads
        beside = await _read_for(running, read, seconds=seconds)
        await ledger.execute("UPDATE orchestrator_lane SET paused = false WHERE name = 'Echo'")
        lags = await _await_ends(streams, ledger)
    figures = [
        ("clients that wait", clients, "streams"),
        ("memory a client", 1e6 * memory / clients / 1024, "KiB"),
        ("threads more", threads, "threads"),
        *((f"{kind} while nothing happens", 100 * share, "% of a core") for kind, share in idle.by_kind.items()),
        *_reads("a read, nobody waits", alone),
        *_reads("a read, all wait", beside),
        ("all requests end: from the outcome's time to the client", 1000 * median(lags), "ms, median"),
        ("the same", 1000 * max(lags), "ms, latest"),
    ]
    return [Figure("SSE", work, value, unit) for work, value, unit in figures]


def _reads(work: str, took: Sequence[float]) -> list[tuple[str, float, str]]:
    return [
        (work, 1000 * median(took), "ms, median"),
        (work, 1000 * quantiles(took, n=100)[98], "ms, 99th percentile"),
        (work, len(took) / sum(took), "reads/s, one after the other"),
    ]


async def _hand_in(running: Running, number: int) -> list[str]:
    """Hand in so many requests of one message, and return their ids, the oldest first."""
    post, left, ids = waybill.single(), iter(range(number)), list[str]()

    async def keep_sending() -> None:
        connection = await http_load.Connection.to(running.url)
        for _ in left:
            answer = await connection.send(post)
            ids.append(str(answer.json()["data"]["id"]))
        connection.close()

    await asyncio.gather(*(keep_sending() for _ in range(_AT_ONCE)))
    return sorted(ids)


async def _read_for(running: Running, read: bytes, *, seconds: float) -> list[float]:
    """Read one after the other, and return how long each took."""
    connection, took = await http_load.Connection.to(running.url), []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        assert (await connection.send(read)).status == 200
        took.append(time.monotonic() - began)
    connection.close()
    return took


async def _follow(running: Running, requests: Sequence[str]) -> list[asyncio.StreamReader]:
    """Open a stream for each request, a few at once, and read its first event."""
    parts, room = urlsplit(running.url), asyncio.Semaphore(_AT_ONCE)

    async def open_one(request_id: str) -> asyncio.StreamReader:
        async with room:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=4096)
            _writers.append(writer)
            writer.write(http_load.call("GET", f"/api/v1/requests/{request_id}/stream", headers=waybill.headers()))
            await reader.readuntil(b"event: progress")
            return reader

    return await asyncio.gather(*map(open_one, requests))


_writers: list[asyncio.StreamWriter] = []


async def _await_ends(streams: Sequence[asyncio.StreamReader], ledger: psycopg.AsyncConnection) -> list[float]:
    """Read every stream to its end; return how long after it was recorded each request's end was read."""
    clock = await (await ledger.execute("SELECT extract(epoch FROM clock_timestamp())::float8")).fetchone()
    assert clock is not None
    offset = clock[0] - time.monotonic()

    async def await_one(stream: asyncio.StreamReader) -> float:
        await stream.readuntil(b"id: end\n")
        return time.monotonic() + offset

    async with asyncio.timeout(_END_WITHIN):
        ends = await asyncio.gather(*map(await_one, streams))
    for writer in _writers:
        writer.close()
    rows = await (
        await ledger.execute("SELECT extract(epoch FROM completed_at)::float8 FROM orchestrator_request ORDER BY id")
    ).fetchall()
    recorded = [at for (at,) in rows[-len(ends) :]]
    return [end - at for end, at in zip(ends, recorded, strict=True)]
