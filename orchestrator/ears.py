"""Whether this worker process listens for wake-ups.

In: open or closed. Out: Celery's consumer takes wake-ups from this process's queues, or leaves them to others. Called
by the worker process when it is drained and when it is put back to work.

A drained process that went on listening would swallow wake-ups that others could act on. One that is already on its way
to it, or is taken while the ears close, is made good by a sweep of the others.
"""

from collections.abc import Sequence
from typing import Any


class Ears:
    """The consumer of a Celery worker; a process that is none (in tests) has none."""

    def __init__(self, celery_worker: Any, *, queues: Sequence[str]) -> None:
        """Listen, as Celery does from the start."""
        self._celery_worker = celery_worker
        self._queues = queues

    def open(self) -> None:
        """Take wake-ups again."""
        self._ask("add_task_queue")

    def close(self) -> None:
        """Take no more."""
        self._ask("cancel_task_queue")

    def _ask(self, method: str) -> None:
        """In the consumer's own thread: its connection is not for others. It remembers across a reconnect."""
        consumer: Any = getattr(self._celery_worker, "consumer", None)
        for queue in self._queues if consumer else ():
            consumer.call_soon(getattr(consumer, method), queue)
