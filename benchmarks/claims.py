"""P10: a claim on a deep queue, and on one whose index is full of dead entries."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import mean, median

import psycopg

from benchmarks import bulk_data, databases, waybill
from benchmarks.figures import Figure
from benchmarks.inside import CLAIM
from benchmarks.stack import Running

# As workers do it, but at one go: each message leaves a dead entry at the head of the lane.
CARRY_OUT = """
UPDATE orchestrator_message SET status = 'Complete', result = payload, attempts = 1, processed_at = now()
WHERE status = 'Queued' AND lane = 'Echo' AND turn <= %(upto)s
"""


def deep_queue(running: Running, *, short: bool) -> list[Figure]:
    """P10: a claim of 500 from 1,000,000 queued, and beside 300,000 dead index entries, beside one from an empty table.

    The claims of a drain go on from its last turn. Its first one looks at everything, unless such looks have become
    slow: what that costs is the mean of those that ten a second, so many seconds long, make.
    """
    queued, dead, times = (50_000, 2_000, 3) if short else (1_000_000, 300_000, 20)
    wake_ups = 10 if short else 100
    with databases.database(running, "claims") as site, psycopg.connect(site.database_url, autocommit=True) as ledger:
        alone = 1000 * median(claim(site, "alone", times=times))
        bulk_data.empty(ledger)
        bulk_data.queue_messages(ledger, messages=queued)
        bulk_data.settle(ledger, "orchestrator_message", "orchestrator_request")
        deep = 1000 * median(claim(site, "take", times=times))
        with idle_transaction(site):
            ledger.execute(CARRY_OUT, {"upto": dead})
            first = 1000 * median(claim(site, "take", times=times))
            further = 1000 * median(claim(site, "take", times=times, floor=dead))
            woken = 1000 * mean(claim(site, "woken", times=wake_ups))
    return [
        Figure("P10", f"claim of {CLAIM} from an otherwise empty table: median", alone, "ms"),
        Figure("P10", f"with {queued:,} queued", deep, "ms", deep / alone, "≤ 3"),
        Figure("P10", f"beside {dead:,} dead entries, held: a drain's claims", further, "ms", further / alone, "≤ 3"),
        Figure("P10", "the same: drains' first claims, mean of ten seconds", woken, "ms", woken / alone, "≤ 3"),
        Figure("P10", "the same: one that looks at everything, as one in fifty does", first, "ms", first / alone),
    ]


@contextmanager
def idle_transaction(site: Running) -> Iterator[None]:
    """Hold a snapshot open, as a forgotten session does: nothing that dies meanwhile can be cleaned away."""
    with psycopg.connect(site.database_url) as idle:
        idle.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        idle.execute("SELECT FROM orchestrator_lane")
        yield


def claim(site: Running, way: str, *, times: int, floor: int = 0) -> list[float]:
    """Claim from the lane Echo in one of the ways of `inside.claims`; return the seconds of each claim."""
    return list(json.loads(waybill.run_module(site, "benchmarks.inside.claims", way, str(times), str(floor))))
