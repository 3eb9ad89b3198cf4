"""`manage.py top`: what is going on now, in a terminal.

In: nothing, or how often to look. Out: lanes, workers and rates, again and again until Ctrl-C; once for scripts.
Called by operators.
"""

import sys
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.live import Live

from orchestrator.management import watching
from orchestrator.management.errors import told_in_one_line

_SHORTEST = 0.2
_WIDTH_FOR_SCRIPTS = 200  # a pipe has none, and what a script reads must not be cut


class Command(BaseCommand):
    """Looks, draws, waits."""

    help = "Show lanes, workers and rates as they are now, until Ctrl-C."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--once", action="store_true", help="print one look and end, for scripts")
        parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="between two looks (1)")

    def handle(self, **options: Any) -> None:
        """Print one look, or keep the terminal's other screen up to date."""
        console = Console(width=None if sys.stdout.isatty() else _WIDTH_FOR_SCRIPTS)
        with told_in_one_line():
            if options["once"]:
                with console.capture() as drawn:
                    console.print(watching.draw(watching.read()))
                self.stdout.write(drawn.get())
            else:
                _keep_showing(console, every=max(_SHORTEST, options["every"]))


def _keep_showing(console: Console, *, every: float) -> None:
    with Live(watching.draw(watching.read()), console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(every)
                live.update(watching.draw(watching.read()), refresh=True)
        except KeyboardInterrupt:
            return
