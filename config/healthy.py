"""Is the process in this container alive? `python config/healthy.py` ends with 0 or 1.

In: `WAYBILL_ROLE`, `WAYBILL_ALIVE_FILE`, `GRANIAN_PORT`. Out: an exit code, and one line when it is not.
Called by the image's and Kubernetes' health checks. It runs often, so it is run as a file and loads nothing of ours.
"""

import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

SILENT_FOR = 120.0
"""Seconds: a round of housekeeping takes up to half a minute while the database is away and each chore times out."""


def complaint() -> str | None:
    """Return what is wrong, or None."""
    if os.environ.get("WAYBILL_ROLE") == "web":
        return _complaint_of_web(os.environ.get("GRANIAN_PORT", "8000"))
    return _complaint_of_silence(os.environ.get("WAYBILL_ALIVE_FILE", ""))


def _complaint_of_web(port: str) -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{int(port)}/livez", timeout=3):
            return None
    except (OSError, ValueError, urllib.error.HTTPError) as failure:
        return f"/livez: {failure}"


def _complaint_of_silence(file: str) -> str | None:
    if not file:
        return "WAYBILL_ALIVE_FILE is not set: there is nothing to look at"
    try:
        age = time.time() - Path(file).stat().st_mtime
    except OSError:
        return f"{file} is not there: the process has not begun to turn"
    return None if age < SILENT_FOR else f"{file} is {age:.0f} s old"


if __name__ == "__main__":
    found = complaint()
    if found:
        sys.exit(found)
