"""Handlers that hang, hold, leave and take their process with them, as the payload says.

They speak with the test through files, since they run in other processes: `began` is made when the handler starts,
and it goes on when `release` exists.
"""

import asyncio
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from orchestrator import handlers


@handlers.plain("Killer")
def kill(work: handlers.Work) -> Any:
    """Take the whole process along, unless the payload says that this one is harmless."""
    if work.fields().get("deadly"):
        os._exit(1)
    return "survived"


@handlers.plain("Hang", timeout=0.2)
def hang(work: handlers.Work) -> Any:
    """Never come back, once; the next try sees that it began before."""
    if _begin(work) > 1:
        return "came back"
    threading.Event().wait()
    return None


@handlers.plain("Hold", timeout=60)
def hold(work: handlers.Work) -> Any:
    """Come back when released."""
    _begin(work)
    while not _is_released(work):
        time.sleep(0.01)
    return "released"


@handlers.asynchronous("HoldAsync", timeout=60)
async def hold_async(work: handlers.Work) -> Any:
    """Come back when released, and let others run meanwhile."""
    _begin(work)
    while not _is_released(work):  # noqa: ASYNC110 - another process releases it
        await asyncio.sleep(0.01)
    return "released"


@handlers.plain("Leave", attempts=1)
def leave(_: handlers.Work) -> Any:
    """End the program, as a script does."""
    sys.exit("enough")


@handlers.asynchronous("LeaveAsync", attempts=1)
async def leave_async(_: handlers.Work) -> Any:
    """End the program from within the event loop."""
    sys.exit("enough")


@handlers.asynchronous("BreakOff", attempts=1)
async def break_off(_: handlers.Work) -> Any:
    """Let the cancelling of something inside escape."""
    raise asyncio.CancelledError


def _begin(work: handlers.Work) -> int:
    """Note the start; return how many there were."""
    if "began" not in work.fields():
        return 0
    began = Path(work.fields()["began"])
    with began.open("a") as notes:
        notes.write(f"{work.id}\n")
    return len(began.read_text().splitlines())


def _is_released(work: handlers.Work) -> bool:
    return "release" not in work.fields() or Path(work.fields()["release"]).exists()
