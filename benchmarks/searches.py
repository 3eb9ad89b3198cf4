"""P8: tracking searches over a large ledger."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from benchmarks import bulk_data, databases, http_load, waybill
from benchmarks.figures import Figure, p95
from benchmarks.stack import Running

_WINDOW = "/api/v1/tracking"
_DAYS = 28
_COUNTED_AFTER = 11.0
"""Seconds after which an idle session of PostgreSQL has told what it counted."""
_TYPES = ("Opportunity", "Customer", "Vehicle", "Ticket")
_SAMPLE = (
    "SELECT array_agg(id::text) FROM (SELECT id FROM orchestrator_request TABLESAMPLE SYSTEM_ROWS (1000)) AS drawn"
)
_SCANS = """
SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname IN ('orchestrator_request', 'orchestrator_message')
"""


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger that is served over HTTP, and what can be searched for in it."""

    site: Running
    messages: int
    ids: list[str]

    @property
    def requests(self) -> int:
        return round(self.messages / bulk_data.MESSAGES_A_REQUEST)


def large_ledger(running: Running, *, short: bool) -> list[Figure]:
    """P8: the named searches, a page of 10 over HTTP, with 2,000,000 messages and with 20,000; and their plans."""
    sizes, times = ((20_000, 40_000), 10) if short else ((20_000, 2_000_000), 200)
    with ExitStack() as sites:
        ledgers = [sites.enter_context(_ledger(running, messages=messages)) for messages in sizes]
        before = _sequential_scans(ledgers[1])
        figures = [figure for name in NAMED for figure in _compare(name, ledgers, times=times, target="≤ 3")]
        time.sleep(0 if short else _COUNTED_AFTER)
        scans = _sequential_scans(ledgers[1]) - before
        figures += [figure for name in _SLOW for figure in _compare(name, ledgers, times=max(times // 10, 2))]
        plans = _sequential_plans(ledgers[1])
    named = f" ({', '.join(plans)})" if plans else ""
    return [
        *figures,
        Figure("P8", f"plans of the six with a sequential scan{named}", len(plans), "plans", len(plans), "≤ 0"),
        Figure("P8", "sequential scans that PostgreSQL counted during the six", scans, "scans", scans, "≤ 0"),
    ]


@contextmanager
def _ledger(running: Running, *, messages: int) -> Iterator[Ledger]:
    with databases.database(running, f"ledger_{messages}") as site:
        with psycopg.connect(site.database_url, autocommit=True) as connection:
            bulk_data.fill_ledger(connection, messages=messages)
            connection.execute("CREATE EXTENSION tsm_system_rows")
            ids = connection.execute(_SAMPLE).fetchone()[0]
        with databases.web(site) as served:
            yield Ledger(served, messages, ids)


# ---------------------------------------------------------------- what is searched for


def _by_type_status_day(_: Ledger) -> dict[str, Any]:
    return _page(
        {"by": "messageType", "value": random.choice(_TYPES)},
        {"by": "messageStatus", "value": "Failed"},
        {"by": "receivedDate", "value": _day(random.randint(0, _DAYS - 1))},
    )


def _failed_this_week(_: Ledger) -> dict[str, Any]:
    return _page({"by": "messageStatus", "value": "Failed"}, {"by": "receivedDate", "value": [_day(6), _day(0)]})


def _by_batch_reference(ledger: Ledger) -> dict[str, Any]:
    return _page({"by": "externalReference", "value": f"batch-{random.randint(1, ledger.requests)}"})


def _by_message_reference(ledger: Ledger) -> dict[str, Any]:
    return _page({"by": "externalReference", "value": f"ref-{random.randint(1, ledger.messages * 45 // 100)}"})


def _by_id(ledger: Ledger) -> dict[str, Any]:
    return _page({"by": "id", "value": random.choice(ledger.ids)})


def _today(_: Ledger) -> dict[str, Any]:
    return _page()


def _failed_this_week_by_processed(ledger: Ledger) -> dict[str, Any]:
    return _failed_this_week(ledger) | _BY_PROCESSED


def _month_by_processed(_: Ledger) -> dict[str, Any]:
    return _page({"by": "receivedDate", "value": [_day(_DAYS), _day(0)]}) | _BY_PROCESSED


def _page(*criteria: dict[str, Any]) -> dict[str, Any]:
    return {"search": criteria, "paging": {"number": 1, "size": 10}}


def _day(ago: int) -> str:
    return f"{datetime.now(UTC) - timedelta(days=ago):%Y-%m-%d}"


_BY_PROCESSED = {"sorts": {"by": "processedDate", "order": "desc"}}

NAMED: dict[str, Callable[[Ledger], dict[str, Any]]] = {
    "type + status + day": _by_type_status_day,
    "failed this week": _failed_this_week,
    "by batch reference": _by_batch_reference,
    "by message reference": _by_message_reference,
    "by id": _by_id,
    "today, unfiltered": _today,
}
_SLOW = {
    "failed this week, by processedDate": _failed_this_week_by_processed,
    "all of a month, by processedDate": _month_by_processed,
}
"""docs/tracking.md names them as searches that can't be fast: they have no target."""


# ---------------------------------------------------------------- measuring


def _compare(name: str, ledgers: list[Ledger], *, times: int, target: str = "") -> list[Figure]:
    few, many = asyncio.run(_in_turn(ledgers, NAMED.get(name) or _SLOW[name], times=times))
    return [
        Figure("P8", f"{name}, of {ledgers[0].messages:,}: p95", p95(few), "ms"),
        Figure("P8", f"{name}, of {ledgers[1].messages:,}: p95", p95(many), "ms", p95(many) / p95(few), target),
    ]


async def _in_turn(ledgers: list[Ledger], draw: Callable[[Ledger], dict[str, Any]], *, times: int) -> list[list[float]]:
    """Search the ledgers in turn, each time for something else; return the seconds of each."""
    connections = [await http_load.Connection.to(ledger.site.url) for ledger in ledgers]
    seconds: list[list[float]] = [[] for _ in ledgers]
    warming = max(times // 10, 2)
    for turn in range(times + warming):
        for found, connection, ledger in zip(seconds, connections, ledgers, strict=True):
            call = http_load.call("POST", _WINDOW, headers=waybill.headers(), body=draw(ledger))
            began = time.monotonic()
            answer = await connection.send(call)
            if turn >= warming:
                found.append(time.monotonic() - began)
            assert b'"requestStatus"' in answer.body, (call, answer)  # something is found, each time
    return seconds


def _sequential_scans(ledger: Ledger) -> int:
    return int(waybill.ask(ledger.site, _SCANS))


def _sequential_plans(ledger: Ledger) -> list[str]:
    """Return the named searches whose plans read a table from end to end."""
    bodies = [draw(ledger) for draw in NAMED.values()]
    ways = json.loads(waybill.run_module(ledger.site, "benchmarks.inside.plans", given=bodies))
    return [name for name, way in zip(NAMED, ways, strict=True) if way["sequential"]]
