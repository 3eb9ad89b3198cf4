"""A sign of life for processes without a port: a file that is touched again and again.

In: nothing. Out: a fresh time on `WAYBILL_ALIVE_FILE`, which `config/healthy.py` looks at.
Called by housekeeping and by beat.
It says that the process turns, not that its servers answer: a database that is away is no reason to kill its workers.
"""

from pathlib import Path

import structlog
from django.conf import settings

log = structlog.get_logger(__name__)


def show() -> None:
    """Touch the file, if the operator wants one."""
    if not settings.WAYBILL_ALIVE_FILE:
        return
    try:
        Path(settings.WAYBILL_ALIVE_FILE).touch()
    except OSError as error:  # a full disk must not end the process that it only describes
        log.warning("no sign of life left", error=repr(error))
