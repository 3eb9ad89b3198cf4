"""`manage.py backend`: make a message type an HTTP service, or change one.

In: a message type, and what to set. Out: a row, obeyed by running processes within 5 s. Called by operators.
"""

from argparse import BooleanOptionalAction
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from orchestrator import amounts, audit, backend_types, breakers, sealing
from orchestrator.management.errors import told_in_one_line
from orchestrator.models import AuditAction, Backend


class Command(BaseCommand):
    """Translates options into `backend_types.save`, and says what stands. Headers are never shown again."""

    help = "Create or update a back end: the HTTP service that carries out a message type."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("message_type", metavar="TYPE", help="the message type, a new one included")
        parser.add_argument("--url", help="where its messages are POSTed to; a new back end needs one")
        parser.add_argument("--timeout", type=float, metavar="SECONDS", help="for a whole call (default 30)")
        parser.add_argument("--attempts", type=int, metavar="N", help="tries in all (default 5)")
        parser.add_argument("--lane", help="the lane its messages wait in; empty: its own")
        _add_limits(parser)
        parser.add_argument("--mandatory", action=BooleanOptionalAction, help="without it a poll's answer is an error")
        headers = parser.add_mutually_exclusive_group()
        headers.add_argument("--header", action="append", metavar="'K: V'", help="sent with each call; repeatable")
        headers.add_argument("--no-headers", action="store_true", help="send none of its own any more")
        schema = parser.add_mutually_exclusive_group()
        schema.add_argument("--schema", metavar="FILE", help="JSON Schema of the message's own fields")
        schema.add_argument("--no-schema", action="store_true", help="accept any fields again")

    def handle(self, **options: Any) -> None:
        """Save, and print the row."""
        with told_in_one_line():
            deed = audit.Deed(AuditAction.CHANGE, "backend", options["message_type"])
            with audit.attempt(audit.on_the_command_line(), deed, refusals=(backend_types.Refused,)) as told:
                changes = _changes(options)
                told["set"] = sorted(changes)
                row, is_new = backend_types.save(options["message_type"], changes)
                told["new"] = is_new
        self.stdout.write("\n".join(_describe(row, is_new=is_new)))


def _add_limits(parser: CommandParser) -> None:
    concurrency = parser.add_mutually_exclusive_group()
    concurrency.add_argument("--concurrency", type=int, metavar="N", help="calls in flight, of all workers together")
    concurrency.add_argument("--no-concurrency", action="store_true", help="as many calls as the workers make")
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument("--rate", metavar="N/s", help="calls a second, of all workers together; N/min and N/h too")
    rate.add_argument("--no-rate", action="store_true", help="as fast as it answers")
    parser.add_argument("--burst", type=int, metavar="N", help="calls at once under a rate (default: a fifth of N/s)")
    breaker = parser.add_mutually_exclusive_group()
    breaker.add_argument("--breaker", type=int, metavar="N", help="failures in a row that open its circuit breaker")
    breaker.add_argument("--no-breaker", action="store_true", help="never stop calling it")


def _describe(row: Backend, *, is_new: bool) -> list[str]:
    return [
        f"back end: {row.message_type} ({'created' if is_new else 'updated'})",
        f"url: {row.url}",
        f"timeout: {row.timeout_seconds:g} s, attempts: {row.attempts}",
        f"lane: {row.lane or row.message_type}, mandatory: {'yes' if row.mandatory else 'no'}",
        f"concurrency: {row.concurrency or 'no limit'}, rate: {_rate(row)}, breaker: {_breaker(row)}",
        f"headers: {_header_names(row)}, schema: {'none' if row.schema is None else 'its own'}",
    ]


def _changes(options: dict[str, Any]) -> backend_types.Changes:
    """Take what was asked for; what no option names stays as it is. Headers are replaced as a whole."""
    changes = backend_types.Changes()
    if options["url"] is not None:
        changes["url"] = options["url"]
    if options["timeout"] is not None:
        changes["timeout_seconds"] = options["timeout"]
    if options["attempts"] is not None:
        changes["attempts"] = options["attempts"]
    if options["lane"] is not None:
        changes["lane"] = options["lane"]
    _change_limits(changes, options)
    if options["mandatory"] is not None:
        changes["mandatory"] = options["mandatory"]
    if options["header"] or options["no_headers"]:
        changes["headers"] = backend_types.parse_headers(options["header"] or ())
    if options["schema"] or options["no_schema"]:
        changes["schema"] = _read_schema(options["schema"]) if options["schema"] else None
    return changes


def _change_limits(changes: backend_types.Changes, options: dict[str, Any]) -> None:
    if options["concurrency"] is not None or options["no_concurrency"]:
        changes["concurrency"] = options["concurrency"]
    if options["rate"] is not None:
        changes["rate"] = backend_types.parse_rate(options["rate"])
    if options["no_rate"]:
        changes["rate"] = changes["burst"] = None
    if options["burst"] is not None:
        changes["burst"] = options["burst"]
    if options["breaker"] is not None or options["no_breaker"]:
        changes["breaker"] = 0 if options["no_breaker"] else options["breaker"]


def _rate(row: Backend) -> str:
    if row.rate is None:
        return "no limit"
    return f"{row.rate:g}/s" if row.burst is None else f"{row.rate:g}/s ({row.burst} at once)"


def _breaker(row: Backend) -> str:
    failures = settings.WAYBILL_BREAKER_FAILURES if row.breaker is None else row.breaker
    rule = f"after {amounts.tell(failures, 'failure')} in a row" if failures else "none"
    lane = row.lane or row.message_type
    return ", now ".join([rule, *(state.status.value for state in breakers.states() if state.lane == lane)])


def _read_schema(path: str) -> dict[str, Any]:
    try:
        return backend_types.parse_schema(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as unreadable:
        raise CommandError(f"the schema can't be read: {unreadable}") from unreadable


def _header_names(row: Backend) -> str:
    try:
        return ", ".join(name for name, _ in backend_types.unseal_headers(row.headers_sealed)) or "none"
    except sealing.Unsealable:
        return "sealed under a key that is gone (set them anew)"
