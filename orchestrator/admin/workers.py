"""Worker processes: who is alive, and draining one.

In: a worker. Out: pages to look at; it can be drained and put back to work, each after a question. Called by Django's
admin.
"""

from functools import partial

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern

from orchestrator import audit, workers
from orchestrator.admin import confirming
from orchestrator.admin.confirming import Question
from orchestrator.admin.pages import LookedAt
from orchestrator.models import AuditAction, Worker

_REFUSALS = (workers.UnknownWorker,)


@admin.register(Worker)
class WorkerPage(LookedAt):
    """The worker processes that are alive, or were until lately."""

    list_display = ("id", "host", "pid", "started_at", "heartbeat_at", "draining")
    ordering = ("host", "pid")
    change_form_outer_before_template = "desk/worker_actions.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the questions; a worker's id is part of their address."""
        own = confirming.addresses("worker", {"drain": self.ask_to_drain, "undrain": self.ask_to_undrain})
        return [*own, *super().get_urls()]

    def ask_to_drain(self, request: HttpRequest, key: str) -> HttpResponse:
        """Drain a worker after a question."""
        worker = unquote(key)
        return confirming.confirm(
            request,
            Question(
                deed=audit.Deed(AuditAction.DRAIN, "worker", worker),
                permission="orchestrator.drain_worker",
                title="Drain this worker?",
                told=(
                    f"Worker {worker} claims no more from its next heartbeat on, and finishes what it holds.",
                    "Then it stays, idle, until it is stopped or put back to work. Started anew, it works.",
                ),
                button="Drain the worker",
                check=partial(workers.find, worker),
                do=partial(_drain, worker),
                refusals=_REFUSALS,
            ),
        )

    def ask_to_undrain(self, request: HttpRequest, key: str) -> HttpResponse:
        """Put a drained worker back to work after a question."""
        worker = unquote(key)
        return confirming.confirm(
            request,
            Question(
                deed=audit.Deed(AuditAction.UNDRAIN, "worker", worker),
                permission="orchestrator.drain_worker",
                title="Put this worker back to work?",
                told=(f"Worker {worker} claims again from its next heartbeat on.",),
                button="Put it back to work",
                check=partial(workers.find, worker),
                do=partial(_undrain, worker),
                refusals=_REFUSALS,
            ),
        )


def _drain(worker: str) -> str:
    done = workers.drain(worker)
    return f"Worker {worker} drains." if done else f"Worker {worker} was told to drain already."


def _undrain(worker: str) -> str:
    done = workers.undrain(worker)
    return f"Worker {worker} works again." if done else f"Worker {worker} was not drained."
