"""`manage.py lane`: pause and resume a lane, or list them all.

In: what to do, and a lane's name. Out: its row and an entry in the audit log, or a list. Called by operators.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orchestrator import audit, board, lanes
from orchestrator.board import Count, LaneNow
from orchestrator.management.errors import told_in_one_line
from orchestrator.models import AuditAction


class Command(BaseCommand):
    """Translates words into `lanes.pause` and `lanes.resume`, and says what stands."""

    help = "Pause a lane, resume it, or list all lanes with what waits and runs in them."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the words."""
        deeds = parser.add_subparsers(dest="deed", required=True)
        for word, what in (("pause", "let nothing more be claimed in it"), ("resume", "let it go on, and wake it")):
            deed = deeds.add_parser(word, help=what)
            deed.add_argument("name", help="the lane's name")
        deeds.add_parser("list", help="every lane, with what waits and runs in it")

    def handle(self, **options: Any) -> None:
        """Do it."""
        with told_in_one_line():
            if options["deed"] == "list":
                self.stdout.write("\n".join(_describe(lane) for lane in board.read_lanes()))
            else:
                self.stdout.write(_change(options["deed"], options["name"]))


def _change(word: str, name: str) -> str:
    """Do the deed with its entry in the audit log; a refusal has one too."""
    action, change = {"pause": (AuditAction.PAUSE, lanes.pause), "resume": (AuditAction.RESUME, lanes.resume)}[word]
    deed = audit.Deed(action, "lane", name)
    with audit.attempt(audit.on_the_command_line(), deed, refusals=(lanes.UnknownLane,)):
        changed = change(name)
    return f"lane: {name} ({'paused' if word == 'pause' else 'open'}{'' if changed else ', as it was'})"


def _describe(lane: LaneNow) -> str:
    state = "paused" if lane.paused else "open"
    return f"{lane.name}: {state}, {_tell(lane.queued)} queued, {lane.processing} in processing"


def _tell(count: Count) -> str:
    return f"{count.number}{'+' if count.at_least else ''}"
