"""`manage.py purge`: clear and delete old work now, or say what would go.

In: the retention settings. Out: what was cleared and deleted. Called by operators; beat does the same every hour.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orchestrator import amounts, retention
from orchestrator.management.errors import told_in_one_line
from orchestrator.retention import Action, Purged

_SETTINGS = {Action.CLEAR: "WAYBILL_CLEAR_AFTER_DAYS", Action.DELETE: "WAYBILL_DELETE_AFTER_DAYS"}
_DONE = {Action.CLEAR: "cleared", Action.DELETE: "deleted"}


class Command(BaseCommand):
    """Calls `retention`, and prints its sums."""

    help = "Clear payloads and results, and delete requests, that are older than the retention settings allow."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")

    def handle(self, **options: Any) -> None:
        """Do it, or look."""
        with told_in_one_line():
            outcome = retention.preview() if options["dry_run"] else retention.purge()
        for rule, purged in zip(retention.rules(), outcome, strict=True):
            if not rule.days:
                self.stdout.write(f"{_SETTINGS[rule.action]} is not set: nothing is ever {_DONE[rule.action]}")
            else:
                self.stdout.write(_sum_up(purged, would=options["dry_run"]))


def _sum_up(purged: Purged, *, would: bool) -> str:
    verb = f"would be {_DONE[purged.action]}" if would else _DONE[purged.action]
    whole = f" of {amounts.tell(purged.requests, 'request')}" if purged.action is Action.DELETE else ""
    return f"{verb}: {amounts.tell(purged.messages, 'message')}{whole}"
