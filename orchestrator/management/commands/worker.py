"""`manage.py worker`: drain a worker process, put it back to work, or list them all.

In: what to do, and a worker's id. Out: its row and an entry in the audit log, or a list. Called by operators.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orchestrator import audit, board, standing, workers
from orchestrator.board import WorkerNow
from orchestrator.management.errors import told_in_one_line
from orchestrator.models import AuditAction
from orchestrator.standing import WorkerStanding


class Command(BaseCommand):
    """Translates words into `workers.drain` and `workers.undrain`, and says what stands."""

    help = "Drain a worker (it claims no more and finishes what it holds), put it back to work, or list all workers."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the words."""
        deeds = parser.add_subparsers(dest="deed", required=True)
        for word, what in (("drain", "claim no more, finish what it holds, stay"), ("undrain", "put it back to work")):
            deed = deeds.add_parser(word, help=what)
            deed.add_argument("id", help="the worker's id, as `worker list` tells it")
        deeds.add_parser("list", help="every worker process, with what it holds")

    def handle(self, **options: Any) -> None:
        """Do it."""
        with told_in_one_line():
            if options["deed"] == "list":
                self.stdout.write("\n".join(_describe(worker) for worker in board.read_workers()))
            else:
                self.stdout.write(_change(options["deed"], options["id"]))


def _change(word: str, worker: str) -> str:
    """Do the deed with its entry in the audit log; a refusal has one too."""
    action, change = {
        "drain": (AuditAction.DRAIN, workers.drain),
        "undrain": (AuditAction.UNDRAIN, workers.undrain),
    }[word]
    deed = audit.Deed(action, "worker", worker)
    with audit.attempt(audit.on_the_command_line(), deed, refusals=(workers.UnknownWorker,)):
        changed = change(worker)
    return f"worker: {worker} ({'draining' if word == 'drain' else 'working'}{'' if changed else ', as it was'})"


def _describe(worker: WorkerNow) -> str:
    state = standing.of_worker(worker)
    since = f" for {worker.silent:.0f} s" if state is WorkerStanding.SILENT else ""
    holds = ", ".join(f"{lane} {number}" for lane, number in worker.holds.items()) or "nothing"
    return f"{worker.id} {worker.host}:{worker.pid} {state}{since}, holds {holds}"
