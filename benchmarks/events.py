"""P7: a long feed of order events."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median

import psycopg

from benchmarks import bulk_data, databases, http_load, usage, waybill
from benchmarks.figures import Figure
from benchmarks.stack import Running

_EVENTS = "/api/2.3.1/orderevents/"
_BEHIND = 10
"""How many events come after the one that `since` names."""
_MOST_GROWTH = 50.0

# The limit: one statement, no HTTP, nothing held back for slow readers. The texts are put together by hand, as Waybill
# does too, since json_build_object takes longer.
_BY_HAND = """
COPY (
    SELECT '{"event":"' || id || '","order":{"path":"/api/2.3.1/orders/' || order_id || '","accessId":"' || access_id
        || '","service":' || to_json(service) || ',"operation":"' || operation || '","state":"' || state
        || '","message":' || to_json(message) || '}}'
    FROM orders_orderevent WHERE client_id = (SELECT id FROM orchestrator_client WHERE name = 'demo') ORDER BY position
) TO STDOUT
"""
_AS_JSON = """
COPY (
    SELECT json_build_object('event', id, 'order', json_build_object('path', '/api/2.3.1/orders/' || order_id,
        'accessId', access_id, 'service', service, 'operation', operation, 'state', state, 'message', message))
    FROM orders_orderevent WHERE client_id = (SELECT id FROM orchestrator_client WHERE name = 'demo') ORDER BY position
) TO STDOUT
"""


def long_feed(running: Running, *, short: bool) -> list[Figure]:
    """P7: what is new near the end of 1,000,000 events and of 1,000; and the whole feed, beside COPY by hand."""
    few, many, times = (100, 5_000, 20) if short else (1_000, 1_000_000, 300)
    with ExitStack() as sites:
        small, large = (sites.enter_context(_feed(running, events=events)) for events in (few, many))
        seconds = asyncio.run(_news([small, large], times=times))
        whole = _whole_feed(large, events=many)
        limits = {name: many / _copy(large, statement) for name, statement in _LIMITS.items()}
    near_few, near_many = (1000 * median(found) for found in seconds)
    rate = many / whole["seconds"]
    return [
        Figure("P7", f"{_BEHIND} events behind since, of {few:,}: median", near_few, "ms"),
        Figure("P7", f"the same of {many:,}", near_many, "ms", near_many / near_few, "≤ 1.5"),
        Figure("P7", f"the whole feed of {many:,}", rate, "events/s"),
        *(
            Figure("P7", f"COPY {name} TO STDOUT", limit, "events/s", rate / limit, "≥ 0.3")
            for name, limit in limits.items()
        ),
        Figure("P7", "the web process grows meanwhile by", whole["grown"], "MB", whole["grown"], f"≤ {_MOST_GROWTH:g}"),
    ]


_LIMITS = {"(SELECT json_build_object…)": _AS_JSON, "(SELECT text by hand…)": _BY_HAND}


@contextmanager
def _feed(running: Running, *, events: int) -> Iterator[Running]:
    with databases.database(running, f"feed_{events}") as site:
        with psycopg.connect(site.database_url, autocommit=True) as connection:
            bulk_data.fill_feed(connection, events=events)
        with databases.web(site) as served:
            yield served


async def _news(sites: list[Running], *, times: int) -> list[list[float]]:
    """Ask each site in turn for the events behind the last but ten; return the seconds of each."""
    connections = [await http_load.Connection.to(site.url) for site in sites]
    calls = [http_load.call("GET", f"{_EVENTS}?since={_near_end(site)}", headers=waybill.headers()) for site in sites]
    seconds: list[list[float]] = [[] for _ in sites]
    for turn in range(times + 10):
        for found, connection, call in zip(seconds, connections, calls, strict=True):
            began = time.monotonic()
            answer = await connection.send(call)
            if turn >= 10:  # everything is warm
                found.append(time.monotonic() - began)
            assert answer.body.count(b'"event"') == _BEHIND, answer
    return seconds


def _near_end(site: Running) -> str:
    return str(
        waybill.ask(
            site,
            "SELECT id FROM orders_orderevent WHERE position = (SELECT last_position FROM orders_feed) - %(behind)s",
            {"behind": _BEHIND},
        )
    )


def _whole_feed(site: Running, *, events: int) -> dict[str, float]:
    """Read the whole feed once, and watch how far the web process grows."""
    call = http_load.call("GET", _EVENTS, headers=waybill.headers())
    watch = usage.Size(usage.find("config.asgi", port=site.variables["PORT"]))
    with watch:
        began = time.monotonic()
        found = http_load.count_in_stream(site.url, call, b'{"event":')
        seconds = time.monotonic() - began
    assert found == events, f"{found} events of {events}"
    return {"seconds": seconds, "grown": watch.grown}


def _copy(site: Running, statement: str) -> float:
    """Return the seconds that it takes to have all of it here."""
    with psycopg.connect(site.database_url) as connection:
        began = time.monotonic()
        with connection.cursor().copy(statement) as copy:
            for _ in copy:
                pass
        return time.monotonic() - began
