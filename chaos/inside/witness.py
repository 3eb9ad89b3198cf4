"""The type `Witness`: a handler that notes the moment at which it begins, as nobody outside a worker can.

In: `pause` in the payload, seconds. Out: a line a call in `begun.jsonl`: which message, when by the machine's own clock
(however shifted this process's is), which process.
"""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from orchestrator import handlers

directory = Path()


@handlers.asynchronous("Witness", timeout=30, attempts=20, backoff=(0.1, 1.0))
async def witness(work: handlers.Work) -> Any:
    """Note the beginning first of all."""
    at = time.clock_gettime(time.CLOCK_REALTIME)
    fields = work.fields()
    line = {"key": str(work.id), "request": str(work.request_id), "mark": fields.get("mark"), "at": at}
    _append(json.dumps(line | {"pid": os.getpid()}) + "\n")
    await asyncio.sleep(fields.get("pause", 0))
    if work.attempt <= fields.get("retries", 0):
        raise handlers.RetryLater("once more")
    return {"witness": str(work.id)}


def _append(line: str) -> None:
    """One write at the end of the file: lines of several processes never mix."""
    file = os.open(directory / "begun.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
