"""Claims on the lane Echo, one after the other: `python -m benchmarks.inside.claims WAY N FLOOR`.

Makes N claims from FLOOR on as a worker process does, and prints the seconds of each. WAY is `take`; or `look`, which
rolls each claim back, so that a queue in use is only looked at; or `alone`, which empties the ledger and queues as
many as are claimed before each.
"""

import json
import sys
import time
import uuid

import django

django.setup()

from django.db import connection, transaction  # noqa: E402 - Django is ready only now

from benchmarks import bulk_data  # noqa: E402
from benchmarks.inside import CLAIM  # noqa: E402
from orchestrator import queue  # noqa: E402


def main(way: str, times: int, floor: int) -> None:
    connection.ensure_connection()
    claim = {"take": _take, "look": _look, "alone": _alone}[way]
    print(json.dumps([claim(floor) for _ in range(times)]))


def _take(floor: int) -> float:
    began = time.perf_counter()
    batch = queue.claim(worker_id=uuid.uuid4(), lane="Echo", limit=CLAIM, floor=floor)
    seconds = time.perf_counter() - began
    assert len(batch.messages) == CLAIM, len(batch.messages)
    return seconds


def _look(floor: int) -> float:
    with transaction.atomic():
        began = time.perf_counter()
        queue.claim(worker_id=uuid.uuid4(), lane="Echo", limit=CLAIM, floor=floor)
        seconds = time.perf_counter() - began
        transaction.set_rollback(True)
    return seconds


def _alone(floor: int) -> float:
    bulk_data.empty(connection.connection)
    bulk_data.queue_messages(connection.connection, messages=CLAIM)
    return _take(floor)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
