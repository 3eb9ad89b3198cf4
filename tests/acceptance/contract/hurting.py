"""Hurting a stack's PostgreSQL server from outside."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def postmaster(home: Path) -> int:
    """The process of the stack's PostgreSQL server; its data are in the home, or under the home's id elsewhere."""
    marks = (str(home), json.loads((home / "kept.json").read_text())["id"])
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if words[0].endswith("/postgres") and any(mark in word for word in words for mark in marks):
            return int(place.name)
    raise LookupError(home)


@contextmanager
def frozen(home: Path) -> Iterator[None]:
    """PostgreSQL and all its backends stand still, as on a machine that swaps."""
    parent = postmaster(home)
    family = [parent, *map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())]
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in family:
            os.kill(pid, signal.SIGCONT)
