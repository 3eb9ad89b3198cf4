"""S3: a transaction that somebody forgot, for ten minutes, under a steady load."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median

from benchmarks import claims, databases, http_load, waybill
from benchmarks.figures import Figure
from benchmarks.stack import Running

_NEIGHBOUR = "neighbour"
_REQUESTS_A_SECOND = 5
_DEAD = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'orchestrator_message'"
_CLOCK = "SELECT coalesce(max(clock), 0) FROM orchestrator_lane WHERE name = 'Echo'"


def behind_an_idle_transaction(running: Running, *, short: bool) -> list[Figure]:
    """S3: claims, and a neighbour's single messages, while 500 messages a second go through the same lane."""
    seconds, rate, looks = (2.0, 200, 1) if short else (600.0, 500, 5)
    figures: list[Figure] = []
    with ExitStack() as stack:
        site = stack.enter_context(databases.database(running, "pinned"))
        served = stack.enter_context(databases.web(site))
        stack.enter_context(databases.workers(served, 2))
        waybill.manage(served, "client", _NEIGHBOUR, "--secret", f"{_NEIGHBOUR}-secret")
        stack.enter_context(_steady_load(served, rate=rate))
        figures += _look(served, "before", short=short)
        with claims.idle_transaction(served):
            began = time.monotonic()
            for look in range(1, looks + 1):
                time.sleep(max(began + seconds * look / looks - time.monotonic(), 0))
                figures += _look(served, f"held for {time.monotonic() - began:.0f} s", short=short)
        waybill.ask(served, "VACUUM orchestrator_message")
        figures += _look(served, "ended, and vacuumed", short=short)
    return figures


def _look(site: Running, when: str, *, short: bool) -> list[Figure]:
    times = 3 if short else 10
    dead = int(waybill.ask(site, _DEAD))
    first = claims.claim(site, "look", times=times)
    further = claims.claim(site, "look", times=times, floor=int(waybill.ask(site, _CLOCK)))
    single = waybill.latencies(site, times=times, client=_NEIGHBOUR)
    return [
        Figure("S3", f"idle transaction {when}: a claim that looks at everything", 1000 * median(first), "ms"),
        Figure("S3", f"idle transaction {when}: a drain's claim from its floor", 1000 * median(further), "ms"),
        Figure("S3", f"idle transaction {when}: a single message", 1000 * median(single), "ms"),
        Figure("S3", f"idle transaction {when}: dead rows of messages", dead, "rows"),
        Figure("S3", f"idle transaction {when}: requests that are open", waybill.open_requests(site), "requests"),
    ]


@contextmanager
def _steady_load(site: Running, *, rate: int) -> Iterator[None]:
    """Hand so many messages a second in, as long as the block lasts."""
    ended = threading.Event()
    body = waybill.submission(rate // _REQUESTS_A_SECOND)
    post = http_load.call("POST", "/api/v1/requests", headers=waybill.headers(), body=body)

    def keep_sending() -> None:
        due = time.monotonic()
        while not ended.wait(max(due - time.monotonic(), 0)):
            http_load.once(site.url, post)
            due += 1 / _REQUESTS_A_SECOND

    thread = threading.Thread(target=keep_sending, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
