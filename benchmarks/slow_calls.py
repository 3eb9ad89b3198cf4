"""P5: a back end that takes its time."""

import json
import time

from benchmarks import plain_celery, stack, waybill
from benchmarks.figures import Figure
from benchmarks.stack import Running
from config.embedded import parts as stack_parts

_QUEUE = "bench-alone"


def one_process(running: Running, *, short: bool) -> list[Figure]:
    """P5: 200 messages whose back end takes 1 s each, with one worker process; 2,000 where it may make 500 calls."""
    messages, delay = (20, 0.1) if short else (200, 1.0)
    seconds = _through_waybill(running, messages=messages, delay=delay)
    wide = _through_waybill(running, messages=10 * messages, delay=delay, WAYBILL_WINDOW_CALLS="500")
    shortest = delay * 10 * messages / min(500, 10 * messages)
    body = json.dumps({"sandbox": {"delay": delay}})
    tries = {"threads 100": messages} if short else {"prefork 1": messages // 20, "threads 100": messages}
    peers = {}
    for pool, jobs in tries.items():
        with plain_celery.worker(running, pool=pool):
            peers[pool] = plain_celery.load(running, jobs, running.sandbox_url + "/Vehicle", body) * messages / jobs
    work = f"calls of {delay:g} s"
    told = {"prefork 1": "prefork 1 (a twentieth of the work, times 20)"}
    return [
        Figure("P5", f"Waybill, one worker process: {messages} {work}", seconds, "s", seconds / (3 * delay), "≤ 1"),
        Figure(
            "P5", f"with 500 calls at once: {10 * messages:,} {work}, beside the shortest", wide, "s", wide / shortest
        ),
        *(
            Figure("P5", f"plain Celery, {told.get(pool, pool)}", peers[pool], "s", seconds / peers[pool])
            for pool in peers
        ),
    ]


def _through_waybill(running: Running, *, messages: int, delay: float, **settings: str) -> float:
    """Give a type a lane that only one worker process serves; return the seconds of the second of two tries.

    `settings`: of the worker process.
    """
    waybill.manage(running, "backend", "Slow", "--url", f"{running.sandbox_url}/Vehicle")
    waybill.ask(
        running,
        "INSERT INTO orchestrator_lane (name, queue) VALUES ('Slow', %(queue)s)"
        " ON CONFLICT (name) DO UPDATE SET queue = excluded.queue",
        {"queue": _QUEUE},
    )
    body = waybill.submission(messages, message_type="Slow", sandbox={"delay": delay})
    worker = (*stack_parts.WORKER, "-n", "alone@%h", "-Q", _QUEUE)
    with stack.beside(*worker, environment=running.environment | {"WAYBILL_ROLE": "worker"} | settings):
        for _ in range(2):
            began = time.monotonic()
            waybill.call(running, "POST", "/api/v1/requests", body)
            waybill.wait_until_finished(running)
            seconds = time.monotonic() - began
    return seconds
