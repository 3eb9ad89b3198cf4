"""P9: what a worker process needs after many messages."""

from benchmarks import databases, usage, waybill
from benchmarks.figures import Figure
from benchmarks.stack import Running


def worker_size(running: Running, *, short: bool) -> list[Figure]:
    """P9: the resident memory of the one worker process after 10,000 Echo messages, and after 1,000,000."""
    first, all_of_them, per_request = (2_000, 6_000, 1_000) if short else (10_000, 1_000_000, 10_000)
    with (
        databases.database(running, "memory") as site,
        databases.web(site) as served,
        databases.workers(served, 1) as (worker,),
    ):
        waybill.flood(served, messages=first, per_request=per_request)
        before = usage.resident(worker)
        waybill.flood(served, messages=all_of_them - first, per_request=per_request)
        after = usage.resident(worker)
    return [
        Figure("P9", f"worker process after {first:,} messages", before, "MB"),
        Figure("P9", f"worker process after {all_of_them:,} messages", after, "MB", after / before, "≤ 1.2"),
    ]
