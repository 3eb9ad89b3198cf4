#!/usr/bin/env python
"""Django's command line: `manage.py client`, `backend`, `submit`, and all of Django's own."""

import os
import sys
from pathlib import Path

from django.apps import apps
from django.core.management import execute_from_command_line
from environs import EnvError, EnvNotSetError


def main() -> None:
    """Run the command that the arguments name."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line(sys.argv)
    except EnvError as wrong:
        sys.exit(_explain(wrong))


def _explain(wrong: EnvError) -> str:
    """Say in one line what is wrong with the settings, and where they could come from."""
    if not isinstance(wrong, EnvNotSetError):
        return str(wrong)
    home = Path(os.environ.get("WAYBILL_HOME", Path(__file__).parent / ".waybill")).absolute()
    return (
        f"{wrong}. Set WAYBILL_HOME to the directory of the stack that `make up` runs "
        f"(without DATABASE_URL; {home} tells of none), or set the variables that .env.example lists."
    )


if __name__ == "__main__":
    try:
        main()
    finally:
        if apps.ready:
            from orchestrator import tallies

            tallies.write_last()  # what the command counted
