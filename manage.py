#!/usr/bin/env python
"""Django's command line: `manage.py client`, `backend`, `submit`, and all of Django's own."""

import os
import sys

from django.apps import apps
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line(sys.argv)
    finally:
        if apps.ready:
            from orchestrator import tallies

            tallies.write_last()  # what the command counted
