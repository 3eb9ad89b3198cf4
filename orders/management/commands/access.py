"""`manage.py access`: make accesses and the services on them, or change them.

In: ids, and services with their types. Out: rows, several accesses at once. Called by operators.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orchestrator import audit, database_errors
from orchestrator.management.errors import told_in_one_line
from orchestrator.models import AuditAction
from orders import accesses


class Command(BaseCommand):
    """Translates options into `accesses.save`, and says what stands."""

    help = "Create or update accesses, each with the services given. What no option names stays as it is."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("id", nargs="+", metavar="ID", help="an accessId: 1 to 32 letters and digits")
        parser.add_argument(
            *("-s", "--service"),
            nargs="+",
            action="extend",
            default=[],
            metavar="SERVICE[:TYPE]",
            help="can be ordered there; of each type one may be active (a new one without a type is its own type)",
        )

    def handle(self, **options: Any) -> None:
        """Save, and print what was saved."""
        services = dict(_split(text) for text in options["service"])
        with told_in_one_line():
            try:
                saved = _save(options["id"], services)
            except accesses.Refused as refused:
                raise CommandError(str(refused)) from refused
        self.stdout.write(f"accesses: {saved.created} created, {saved.updated} updated")
        self.stdout.write(f"services: {', '.join(_describe(*item) for item in services.items()) or 'none named'}")


@database_errors.repeat_deadlocked
def _save(access_ids: list[str], services: dict[str, str | None]) -> accesses.Saved:
    deed = audit.Deed(AuditAction.CHANGE, "access", ", ".join(access_ids))
    with audit.attempt(audit.on_the_command_line(), deed, refusals=(accesses.Refused,)) as told:
        told["services"] = services
        return accesses.save(access_ids, services)


def _split(text: str) -> tuple[str, str | None]:
    service, _, service_type = text.partition(":")
    return service, service_type or None


def _describe(service: str, service_type: str | None) -> str:
    return f"{service} ({service_type})" if service_type else service
