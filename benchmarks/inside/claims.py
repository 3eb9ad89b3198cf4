"""Claims on the lane Echo, one after the other: `python -m benchmarks.inside.claims WAY N FLOOR`.

Makes N claims from FLOOR on as a worker process does, and prints the seconds of each. WAY is `take`; or `woken`, where
each claim begins where that of a wake-up does, in a worker that has been at it for a while; or `look`, which rolls each
claim back, so that a queue in use is only looked at; or `alone`, which empties the ledger and queues as many as are
claimed before each.
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
from orchestrator import floors, queue  # noqa: E402
from orchestrator.floors import Floor  # noqa: E402

_EVERY = 0.1
"""Seconds between two wake-ups."""


def main(way: str, times: int, floor: int) -> None:
    connection.ensure_connection()
    if way == "woken":
        seconds = _woken(times)
    else:
        claim = {"take": _take, "look": _look, "alone": _alone}[way]
        seconds = [claim(floor) for _ in range(times)]
    print(json.dumps(seconds))


def _take(floor: int) -> float:
    return _taken(floor)[0]


def _taken(floor: int) -> tuple[float, int]:
    """Claim; return the seconds and the last turn."""
    began = time.perf_counter()
    batch = queue.claim(worker_id=uuid.uuid4(), lane="Echo", limit=CLAIM, floor=floor)
    seconds = time.perf_counter() - began
    assert len(batch.messages) == CLAIM, len(batch.messages)
    return seconds, batch.messages[-1].turn


def _woken(times: int) -> list[float]:
    """Let wake-ups come at a steady pace, and leave out those of the while in which the process learns its floor."""
    floor, claims = Floor(), []
    learning = int(floors.A_WHILE / _EVERY) + 1
    for _ in range(learning + times):
        begin = floor.for_claim()
        seconds, turn = _taken(begin)
        if not begin:
            floor.looked(seconds=seconds)
        floor.note(turn)
        claims.append(seconds)
        time.sleep(max(_EVERY - seconds, 0))
    return claims[learning:]


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
