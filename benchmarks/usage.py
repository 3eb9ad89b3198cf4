"""What processes use, as /proc tells it (proc(5)): memory, and CPU by kind of process."""

import os
import threading
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KINDS = {
    "bin/postgres": "PostgreSQL",
    "valkey-server": "Valkey",
    "config.embedded.sandbox": "back end",
    "config.asgi": "web",
    " worker ": "workers",
    " beat ": "beat",
    "config.embedded": "supervisor",
}
_LOAD = "load"
OTHERS = "not ours"
"""What the machine did besides."""


def resident(pid: int) -> float:
    """Return the resident memory of a process and all below it, in MB."""
    pages = sum(int((_read(found, "statm") or "0 0").split()[1]) for found in _tree(pid))
    return pages * _PAGE / 1e6


def threads(pid: int) -> int:
    """Return how many threads a process has, with all below it."""
    return sum(len(_tasks(found)) for found in _tree(pid))


def find(*patterns: str, port: str = "") -> int:
    """Return the first process below us whose command line has all of these."""
    wanted = [*patterns, port]
    return next(pid for pid in _tree(os.getpid()) if all(pattern in _command(pid) for pattern in wanted))


class Size:
    """Watch how far a process, with all below it, grows while the block lasts."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._before = self._most = resident(self._pid)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def grown(self) -> float:
        """The most it had beyond what it began with, in MB."""
        return self._most - self._before

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            self._most = max(self._most, resident(self._pid))


class Cores:
    """How many cores each kind of process keeps busy while the block lasts: ours and all below us."""

    def __enter__(self) -> Self:
        self._began, self._before = time.monotonic(), _seconds_by_kind()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds, after = time.monotonic() - self._began, _seconds_by_kind()
        self.by_kind = {kind: max(after[kind] - self._before[kind], 0.0) / self.seconds for kind in after}


def _seconds_by_kind() -> Counter[str]:
    """Sum the CPU seconds of the processes below us, and of all others.

    What PostgreSQL's ended sessions used is its postmaster's.
    """
    seconds: Counter[str] = Counter()
    kinds: dict[int, str] = {}
    for pid in _tree(os.getpid()):
        fields = _read(pid, "stat").rpartition(")")[2].split()
        if not fields:
            continue
        kinds[pid] = _kind(_command(pid)) or kinds.get(int(fields[1]), _LOAD)
        own, ended = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
        seconds[kinds[pid]] += (own + (ended if kinds[pid] == "PostgreSQL" else 0)) / _TICK
    seconds[OTHERS] = _busy_seconds() - seconds.total()
    return seconds


def _busy_seconds() -> float:
    """Return how long all cores together have been busy since the machine was started."""
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / _TICK


def _kind(command: str) -> str | None:
    return next((kind for pattern, kind in _KINDS.items() if pattern in command), None)


def _tree(pid: int) -> list[int]:
    """Return the process and all below it, parents first."""
    found = [pid]
    for one in found:
        for task in _tasks(one):
            found += map(int, _read(one, f"task/{task}/children").split())
    return found


def _tasks(pid: int) -> list[str]:
    try:
        return [task.name for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def _command(pid: int) -> str:
    return _read(pid, "cmdline").replace("\0", " ")


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""  # it ended meanwhile
