"""`manage.py submit`: hand a JSON body to the running API, and follow it.

In: a file, or standard input. Out: the request's id, a live bar, a table; exit status 1 if a message went wrong.
Called by operators and visitors.
"""

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from orchestrator.management import submission

_INTERRUPTED = 130


class Command(BaseCommand):
    """Translates options into calls of the API: this is a client like any other."""

    help = "Hand a JSON body to POST /api/v1/requests; with --follow, watch it until all its messages are final."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("file", metavar="FILE", help="a JSON body; -: standard input")
        parser.add_argument("--follow", action="store_true", help="a live bar, and a table at the end")
        parser.add_argument("--url", default=settings.WAYBILL_URL, help="or WAYBILL_URL (default: this stack's)")
        parser.add_argument("--client", default=settings.WAYBILL_CLIENT, help="or WAYBILL_CLIENT (default: demo)")
        parser.add_argument("--secret", default=settings.WAYBILL_SECRET, help="or WAYBILL_SECRET (default: demo's)")

    def handle(self, **options: Any) -> None:
        """Hand in, and follow when asked to."""
        body = _read(options["file"])
        try:
            with submission.Api(url=options["url"], client=options["client"], secret=options["secret"]) as api:
                self._submit(api, body, follow=options["follow"])
        except submission.Refused as refused:
            raise CommandError(str(refused)) from refused

    def _submit(self, api: submission.Api, body: bytes, *, follow: bool) -> None:
        accepted = api.submit(body)
        self.stdout.write(f"Request-Id: {accepted.id}")
        for error in accepted.errors:
            self.stderr.write(error)
        if follow:
            try:
                went_well = _follow(api, accepted.id)
            except KeyboardInterrupt:
                self.stderr.write("not followed any more; the request goes on")
                sys.exit(_INTERRUPTED)
        else:
            went_well = not accepted.errors
        if not went_well:
            sys.exit(1)


def _follow(api: submission.Api, request_id: str) -> bool:
    """Show the request until it is finished, and tell whether every message is Complete."""
    console = Console()
    summary = submission.show_progress(console, api.watch(request_id))
    console.print(submission.make_table(api.read(request_id, whole=True), summary))
    return not summary.unsuccessful


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as unreadable:
        raise CommandError(f"{name} can't be read: {unreadable.strerror}") from unreadable
