"""The Celery tasks: shells of five lines. A task of the ledger is a message; these only wake."""

from typing import Any

from celery import shared_task
from django.db import close_old_connections

from orchestrator import dispatch, idempotency, retention, tallies, worker


@shared_task(name=dispatch.DRAIN)
def drain(*, lane: str, **_: Any) -> None:
    """Work a lane off."""
    close_old_connections()
    worker.current().drain(lane)


@shared_task(name="orchestrator.purge_idempotency_records")
def purge_idempotency_records(**_: Any) -> None:
    """Delete the answers kept for idempotency keys that have expired."""
    close_old_connections()
    idempotency.purge()


@shared_task(name="orchestrator.purge")
def purge(**_: Any) -> None:
    """Clear and delete what the retention settings no longer keep."""
    close_old_connections()
    retention.purge()


@shared_task(name="orchestrator.fold_tallies")
def fold_tallies(**_: Any) -> None:
    """Put old figures together."""
    close_old_connections()
    tallies.fold()
