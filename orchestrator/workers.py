"""Drain a worker process: it claims no more, finishes what it holds, and stays, idle, until it is told otherwise.

In: a worker's id. Out: the mark on its row, which its next heartbeat reads. Called by the desk and `manage.py worker`.

It does not end by itself: a supervisor, a container's restart policy or Kubernetes would start it anew at once, and
the new process, which nobody has told to drain, would claim on the same machine. Drained and idle, it can be stopped
without costing anything, looked at, or put back to work. Started anew it is another worker, and works.
"""

import uuid

from django.db import connection

# By primary key. One statement: `before` is the row as it was when its lock was got.
_MARK = """
UPDATE orchestrator_worker AS worker SET draining = %(draining)s
FROM (SELECT id, draining FROM orchestrator_worker WHERE id = %(id)s FOR NO KEY UPDATE) AS before
WHERE worker.id = before.id RETURNING before.draining
"""


class UnknownWorker(Exception):
    """No worker process of that id is on the list: it has left, or has long been silent."""

    def __init__(self, worker: str) -> None:
        super().__init__(f"there is no worker {worker!r}")


def drain(worker: str) -> bool:
    """Tell a worker to claim no more; tell whether it was not told before. Raises UnknownWorker."""
    return _mark(worker, draining=True)


def undrain(worker: str) -> bool:
    """Let a drained worker claim again; tell whether it was drained. Raises UnknownWorker."""
    return _mark(worker, draining=False)


def find(worker: str) -> uuid.UUID:
    """Return the id of a worker that is on the list. Raises UnknownWorker, also for what is no id at all."""
    worker_id = _parse(worker)
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM orchestrator_worker WHERE id = %s", (worker_id,))
        if not cursor.rowcount:
            raise UnknownWorker(worker)
    return worker_id


def _mark(worker: str, *, draining: bool) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_MARK, {"id": _parse(worker), "draining": draining})
        row = cursor.fetchone()
    if row is None:
        raise UnknownWorker(worker)
    return bool(row[0]) is not draining


def _parse(worker: str) -> uuid.UUID:
    try:
        return uuid.UUID(worker)
    except ValueError:
        raise UnknownWorker(worker) from None
