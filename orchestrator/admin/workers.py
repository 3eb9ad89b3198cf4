"""Worker processes: who is alive, and draining one.

In: a worker. Out: pages to look at; it can be drained and put back to work, each after a question. Called by Django's
admin.
"""

from django.contrib import admin
from django.urls import URLPattern

from orchestrator import workers
from orchestrator.admin import confirming
from orchestrator.admin.confirming import Deed
from orchestrator.admin.pages import LookedAt
from orchestrator.models import AuditAction, Worker

_DRAIN = Deed(
    word="drain",
    action=AuditAction.DRAIN,
    permission="orchestrator.drain_worker",
    title="Drain this worker?",
    told=(
        "Worker {} claims no more from its next heartbeat on, and finishes what it holds.",
        "Then it stays, idle, until it is stopped or put back to work. Started anew, it works.",
    ),
    button="Drain the worker",
    do=workers.drain,
    done="Worker {} drains.",
    already="Worker {} was told to drain already.",
)
_UNDRAIN = Deed(
    word="undrain",
    action=AuditAction.UNDRAIN,
    permission="orchestrator.drain_worker",
    title="Put this worker back to work?",
    told=("Worker {} claims again from its next heartbeat on.",),
    button="Put it back to work",
    do=workers.undrain,
    done="Worker {} works again.",
    already="Worker {} was not drained.",
)
_DEEDS = confirming.Deeds(
    table="worker", check=workers.find, refusals=(workers.UnknownWorker,), deeds=(_DRAIN, _UNDRAIN)
)


@admin.register(Worker)
class WorkerPage(LookedAt):
    """The worker processes that are alive, or were until lately."""

    list_display = ("id", "host", "pid", "started_at", "heartbeat_at", "draining")
    ordering = ("host", "pid")
    change_form_outer_before_template = "desk/worker_actions.html"

    def get_urls(self) -> list[URLPattern]:
        """Add what can be done to a worker; its id is part of the address."""
        return [*confirming.addresses(_DEEDS), *super().get_urls()]
