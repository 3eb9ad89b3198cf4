"""Drain a worker process: it claims no more, finishes what it holds, and stays, idle, until it is told otherwise.

In: a worker's id. Out: the mark on its row, which its next heartbeat reads. Called by the desk and `manage.py worker`.

It does not end by itself: a supervisor, a container's restart policy or Kubernetes would start it anew at once, and
the new process, which nobody has told to drain, would claim on the same machine. Drained and idle, it can be stopped
without costing anything, looked at, or put back to work. A restart is a new worker, and works.
"""

import uuid

from django.db import connection


class UnknownWorker(Exception):
    """No worker process of that id is on the list: it has left, or has long been silent."""

    def __init__(self, worker_id: object) -> None:
        super().__init__(f"there is no worker {worker_id}")


def drain(worker_id: uuid.UUID) -> bool:
    """Tell a worker to claim no more; tell whether it was not told before. Raises UnknownWorker."""
    return _set_draining(worker_id, draining=True)


def take_back(worker_id: uuid.UUID) -> bool:
    """Let a drained worker claim again; tell whether it was drained. Raises UnknownWorker."""
    return _set_draining(worker_id, draining=False)


def _set_draining(worker_id: uuid.UUID, *, draining: bool) -> bool:
    """One statement: `before` is read as it was when it began."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE orchestrator_worker AS worker SET draining = %(draining)s"
            " FROM (SELECT id, draining FROM orchestrator_worker WHERE id = %(id)s FOR NO KEY UPDATE) AS before"
            " WHERE worker.id = before.id RETURNING before.draining",
            {"id": worker_id, "draining": draining},
        )
        row = cursor.fetchone()
    if row is None:
        raise UnknownWorker(worker_id)
    return bool(row[0]) is not draining
