"""P1: large requests."""

from benchmarks import by_hand, plain_celery, waybill
from benchmarks.figures import Figure
from benchmarks.stack import Running


def many_in_bulk(stack: Running, *, short: bool) -> list[Figure]:
    """P1: Echo messages handed in over HTTP as requests of 10,000, until all are Complete."""
    messages, per_request, jobs = (4_000, 2_000, 100) if short else (100_000, 10_000, 2_000)
    waybill.carry_through(stack, messages=per_request, per_request=per_request)  # everything is warm
    seconds = waybill.carry_through(stack, messages=messages, per_request=per_request)
    rate = messages / seconds["complete"]
    limit = messages / by_hand.carry_through(stack.database_url, messages=messages, per_request=per_request)
    peers = {
        pool: jobs / plain_celery.carry_through(stack, jobs=jobs, pool=pool) for pool in plain_celery.pools(short=short)
    }
    best = max(peers.keys() & plain_celery.POOLS.keys(), key=lambda pool: peers[pool])
    return [
        Figure("P1", f"Waybill: {messages:,} handed in", seconds["handed in"], "s"),
        Figure("P1", f"Waybill: {messages:,} complete", seconds["complete"], "s"),
        Figure("P1", "Waybill", rate, "messages/s"),
        *(Figure("P1", f"plain Celery + Django, {pool}", peers[pool], "tasks/s", rate / peers[pool]) for pool in peers),
        Figure("P1", f"Waybill / plain Celery ({best})", rate / peers[best], "times", rate / peers[best], "≥ 30"),
        Figure("P1", "COPY + batched UPDATE by hand", limit, "messages/s", rate / limit, "≥ 0.4"),
    ]
