"""S5: what the desk's dashboard, searches and figures cost with 2,000,000 messages."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import httpx2
import psycopg

from benchmarks import bulk_data, claims, databases
from benchmarks.figures import Figure, p95
from benchmarks.stack import Running
from config.embedded import parts as stack_parts

_LOGIN = "/admin/login/?next=/admin/"
_LOOKS = {
    "the present": "/admin/dashboard/now",
    "the last hour": "/admin/dashboard/history?span=hour",
    "the last day": "/admin/dashboard/history?span=day",
    "/metrics": "/metrics",
}

# A day of ten lanes, as the fold leaves it: rows of six processes for ten minutes, then one row a minute for two hours,
# and one an hour before that.
_FILL_TALLY = """
INSERT INTO orchestrator_tally (minute, process, type, lane, event, count, seconds, buckets)
SELECT date_trunc(span.step, now()) - n * span.length, process, 'Type-' || lane, 'Type-' || lane, event, 60, 30,
    array_fill(3::bigint, ARRAY[18])
FROM (VALUES ('minute', interval '1 minute', 0, 10, '{a,b,c,d,e,f}'::text[]),
             ('minute', interval '1 minute', 11, 120, '{minute}'), ('hour', interval '1 hour', 3, 48, '{hour}'))
    AS span (step, length, first, last, processes)
CROSS JOIN LATERAL generate_series(span.first, span.last) AS n CROSS JOIN unnest(span.processes) AS process
CROSS JOIN generate_series(1, 10) AS lane
CROSS JOIN unnest('{complete,failed,received,claimed,claims,retried,rejected,woken,called: complete,called: retry}'
    ::text[]) AS event
"""


_KNOWN = """
SELECT request.id::text, message.id::text, request.batch_reference, message.external_reference
FROM (SELECT * FROM orchestrator_request ORDER BY id OFFSET 1000 LIMIT 1) AS request
JOIN orchestrator_message AS message ON message.request_id = request.id LIMIT 1
"""


def with_many_messages(running: Running, *, short: bool) -> list[Figure]:
    """S5: the desk's looks and searches over HTTP, with 2,000,000 messages of which 1,000,000 wait in one lane."""
    half, dead, times = (5_000, 2_000, 5) if short else (1_000_000, 300_000, 100)
    with databases.database(running, "desk") as site, psycopg.connect(site.database_url, autocommit=True) as ledger:
        ledger.execute(_FILL_TALLY)
        ledger.execute("ANALYZE orchestrator_tally")
        with databases.web(site) as served, _administrator(served) as desk:
            few = {name: _seconds(desk, path, times=times) for name, path in _LOOKS.items()}
            bulk_data.fill_ledger(ledger, messages=half)
            bulk_data.queue_messages(ledger, messages=half)
            bulk_data.settle(ledger, "orchestrator_message", "orchestrator_request")
            [counting] = _seconds(desk, _LOOKS["the present"], times=1)
            assert f'"queued": {{"number": {half}' in desk.get(_LOOKS["the present"]).text
            many = {name: _seconds(desk, path, times=times) for name, path in _LOOKS.items()}
            searches = [*_search(desk, ledger, times=max(times // 5, 3))]
            with claims.idle_transaction(site):
                ledger.execute(claims.CARRY_OUT, {"upto": dead})
                beside = _seconds(desk, _LOOKS["the present"], times=times)
    return [
        *(_figure(f"{name}: median", _median(few[name]), _median(many[name])) for name in _LOOKS),
        *(_figure(f"{name}: p95", p95(few[name]), p95(many[name])) for name in _LOOKS),
        *searches,
        Figure("S5", f"the look that counts {half:,} in one lane", 1000 * counting, "ms"),
        Figure("S5", f"the present, beside {dead:,} dead entries, held: median", _median(beside), "ms"),
    ]


def _search(desk: httpx2.Client, ledger: psycopg.Connection, *, times: int) -> Iterator[Figure]:
    """Search as people do: for what they were told, then by what they choose, with an index for it and without."""
    request_id, message_id, batch, reference = ledger.execute(_KNOWN).fetchone()
    searches = {
        "nothing said": "",
        "a request's id": f"q={request_id}",
        "a message's id": f"q={message_id}",
        "a batch reference": f"q={batch}",
        "an external reference": f"q={reference}",
        "a client": "client=demo",
        "a client's with failures": "client=demo&status=with+failures",
        "a type's unfinished": "type=Echo&status=unfinished",
        "a type that nobody sent": "type=Nothing",
        "stopped, of which there is none": "status=stopped",
    }
    for name, asked in searches.items():
        seconds = _seconds(desk, f"/admin/orchestrator/request/?{asked}", times=times)
        yield Figure("S5", f"the desk finds: {name}: median", _median(seconds), "ms")


def _figure(work: str, few: float, many: float) -> Figure:
    """The ratio is to the same look at an empty ledger."""
    return Figure("S5", f"{work}, beside an empty ledger's", many, "ms", many / few)


def _median(seconds: list[float]) -> float:
    """Return it in milliseconds."""
    return 1000 * median(seconds)


@contextmanager
def _administrator(served: Running) -> Iterator[httpx2.Client]:
    """Log in as people do."""
    who = {"username": stack_parts.DEMO_ADMIN, "password": stack_parts.DEMO_SECRET}
    with httpx2.Client(base_url=served.url, timeout=60) as desk:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', desk.get(_LOGIN).text)
        assert token
        answer = desk.post(_LOGIN, data={**who, "csrfmiddlewaretoken": token[1]}, headers={"Referer": served.url})
        assert answer.status_code == 302, answer.text
        yield desk


def _seconds(desk: httpx2.Client, path: str, *, times: int) -> list[float]:
    """Look so many times, and return how long each took."""
    found = []
    for _ in range(times):
        began = time.monotonic()
        answer = desk.get(path)
        found.append(time.monotonic() - began)
        assert answer.status_code == 200, answer.text
    return found
