"""`manage.py client`: make a client, or change one.

In: an id, and what to set. Out: a row, and its secret when one was generated. Called by operators.
"""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orchestrator import audit, clients, handlers
from orchestrator.management.errors import told_in_one_line
from orchestrator.models import AuditAction, Scope

_LONGEST_OVERLAP_HOURS = 24 * 366


class Command(BaseCommand):
    """Translates options into `clients.save`, and says what stands."""

    help = "Create or update a client. What no option names stays as it is; a new client may do everything."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("id", help="the client id that it authenticates with")
        parser.add_argument("--secret", help="one more valid secret (a new client without one gets one, shown once)")
        parser.add_argument("--replace-secrets", action="store_true", help="end all its other secrets")
        parser.add_argument(
            "--rotate", type=float, metavar="HOURS", help="a new secret; the others end after so many hours (0: now)"
        )
        parser.add_argument("--name", help="a name for people (default: the id)")
        scopes = parser.add_mutually_exclusive_group()
        scopes.add_argument("--scope", action="append", help=f"may be repeated: {', '.join(Scope.values)}")
        scopes.add_argument("--all-scopes", action="store_true", help="all of them, now and later")
        types = parser.add_mutually_exclusive_group()
        types.add_argument("--type", action="append", help="a message type that it may send; may be repeated")
        types.add_argument("--all-types", action="store_true", help="all of them, now and later")
        parser.add_argument("--max-in-flight", type=int, metavar="N", help="its open requests at most; 0: no limit")
        parser.add_argument("--rate", metavar="N/TIME", help="its calls at most, as in 600/minute; unlimited; default")

    def handle(self, **options: Any) -> None:
        """Save, and print the client; its secret only when it was generated now."""
        with told_in_one_line():
            changes, overlap = _changes(options), _read_overlap(options["rotate"])
            deed = audit.Deed(AuditAction.CHANGE, "client", options["id"])
            with audit.attempt(audit.on_the_command_line(), deed, refusals=(clients.Refused,)) as told:
                told["set"] = dict(changes)
                saved = clients.save(
                    options["id"],
                    changes,
                    secret=options["secret"],
                    replace_secrets=options["replace_secrets"],
                    overlap=overlap,
                )
                others = clients.tell_others(overlap, replaced=options["replace_secrets"])
                told |= {"new": saved.is_new, "secret": f"{_tell_secret(saved, options)}, others {others}"}
            unknown = sorted(set(options["type"] or ()) - set(handlers.catalogue()))
        self.stdout.write("\n".join(_describe(saved)))
        for name in unknown:
            self.stderr.write(f"note: there is no message type {name!r} yet")


def _read_overlap(hours: float | None) -> timedelta | None:
    if hours is None:
        return None
    if not 0 <= hours <= _LONGEST_OVERLAP_HOURS:
        raise clients.Refused("rotate", f"the hours must be from 0 to {_LONGEST_OVERLAP_HOURS}")
    return timedelta(hours=hours)


def _tell_secret(saved: clients.Saved, options: dict[str, Any]) -> str:
    """Say for the audit log where the newest secret is from, without telling it."""
    if saved.secret:
        return "generated"
    return "none made" if options["secret"] is None else "given"


def _describe(saved: clients.Saved) -> list[str]:
    client = saved.client
    lines = [
        f"client: {client.client_id} ({'created' if saved.is_new else 'updated'})",
        f"name: {client.name}",
        f"feed: {client.feed_id}",
        f"scopes: {_list(client.scopes)}",
        f"types: {_list(client.types)}",
        f"max in flight: {client.max_in_flight or 'no limit'}",
    ]
    if client.rate_limit:
        lines.append(f"rate: {client.rate_limit}")
    if saved.secret:
        lines += [f"secret: {saved.secret}", "Keep the secret now: it is not shown again."]
    return lines


def _changes(options: dict[str, Any]) -> clients.Changes:
    """Take what was asked for, and nothing else: an update must not widen what a client may do."""
    changes = clients.Changes()
    if options["name"] is not None:
        changes["name"] = options["name"]
    if options["scope"] or options["all_scopes"]:
        changes["scopes"] = options["scope"]
    if options["type"] or options["all_types"]:
        changes["types"] = options["type"]
    if options["max_in_flight"] is not None:
        changes["max_in_flight"] = options["max_in_flight"] or None
    if options["rate"] is not None:
        changes["rate_limit"] = None if options["rate"] == "default" else options["rate"]
    return changes


def _list(names: list[str] | None) -> str:
    return "all" if names is None else ", ".join(names) or "none"
