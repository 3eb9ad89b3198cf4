"""Keeps the parts of a stack running, and stops them in order.

In: parts, as the stack begins them. Out: each part runs, again after it died, until a signal asks to stop.
Called by `stack.py`. One thread, since the kernel ties a child's life to the thread that started it.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from config.embedded import processes

_TICK = 0.1
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
_SETTLED_AFTER = 20.0  # a part that ran this long before it died is started again at once
_TOO_OFTEN = 4  # deaths of one part before the stack is ready: it can't start here


class StopAsked(Exception):
    """A signal asked the stack to stop while it was starting."""


class CannotStart(Exception):
    """A part does not start."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the stack. Parts that others lean on (`foundation`) are stopped after them."""

    name: str
    log: Path
    start: Callable[[], processes.Child]
    foundation: bool = False


@dataclass(slots=True)
class _Running:
    """A part that has been begun, and how it has fared."""

    part: Part
    child: processes.Child
    begun_at: float = field(default_factory=time.monotonic)
    deaths: int = 0
    wait: float = _FIRST_WAIT
    due_at: float | None = None  # when to start it again; None while it runs


class Supervisor:
    """Starts parts, restarts what dies, stops everything. A second signal changes nothing."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Take over the signals of a terminal and of `make`."""
        self._say = say
        self._running: list[_Running] = []
        self._stopping = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup stays nohup
                signal.signal(number, self._note_signal)

    def begin(self, part: Part) -> processes.Child:
        """Start a part that is kept running from now on."""
        child = part.start()
        self._running.append(_Running(part=part, child=child))
        return child

    def wait_until(self, ready: Callable[[], object], *, what: str, within: float) -> None:
        """Keep the parts running until `ready`.

        Raises CannotStart at the deadline or when a part keeps dying, StopAsked after a signal.
        """
        deadline = time.monotonic() + within
        while not ready():
            self._tick()
            if self._stopping:
                raise StopAsked
            for running in self._running:
                if running.deaths >= _TOO_OFTEN:
                    raise CannotStart(_last_words(running.part.name, running.part.log))
            if time.monotonic() > deadline:
                raise CannotStart(f"{what} was not ready within {within:g} s; the logs are in {self._logs()}")
            time.sleep(_TICK)

    def run_to_end(self, part: Part, *, within: float) -> None:
        """Run a part once, to its end, and keep the others running. Raises CannotStart when it fails, StopAsked."""
        child = part.start()
        try:
            self.wait_until(lambda: not child.alive, what=part.name, within=within)
        finally:
            child.end()
        if child.process.returncode:
            raise CannotStart(_last_words(part.name, part.log))

    def keep_running(self) -> None:
        """Return when a signal asks to stop."""
        while not self._stopping:
            self._tick()
            time.sleep(_TICK)

    def stop(self, *, within: float, foundation_within: float) -> None:
        """Stop all that do the work, then what they lean on; kill what is too slow."""
        self._stopping = True
        self._stop([running for running in self._running if not running.part.foundation], within=within)
        self._stop([running for running in self._running if running.part.foundation], within=foundation_within)

    def _stop(self, some: list[_Running], *, within: float) -> None:
        for running in some:
            running.child.ask_to_stop()
        deadline = time.monotonic() + within
        while any(running.child.alive for running in some) and time.monotonic() < deadline:
            time.sleep(_TICK / 2)
        for running in some:
            running.child.end()

    def _tick(self) -> None:
        for running in self._running:
            if self._stopping:
                return
            if running.due_at is None:
                self._look_after(running)
            elif time.monotonic() >= running.due_at:
                self._start_again(running)

    def _look_after(self, running: _Running) -> None:
        """End a dead part's process group whole before anything else: granian's workers outlive their parent."""
        if running.child.alive:
            return
        running.child.end()
        running.deaths += 1
        if time.monotonic() - running.begun_at > _SETTLED_AFTER:
            running.wait = _FIRST_WAIT
        running.due_at = time.monotonic() + running.wait
        running.wait = min(2 * running.wait, _LONGEST_WAIT)
        self._say(f"{running.part.name} ended ({_how(running.child)}); starting it again")

    def _start_again(self, running: _Running) -> None:
        try:
            running.child = running.part.start()
        except OSError as broken:  # no memory, no disk: tried again like a part that died
            self._say(f"{running.part.name} does not start: {broken.strerror or broken}")
            running.due_at = time.monotonic() + _LONGEST_WAIT
            return
        running.begun_at = time.monotonic()
        running.due_at = None

    def _logs(self) -> Path:
        return self._running[0].part.log.parent

    def _note_signal(self, *_: object) -> None:
        """Only note it: the loop acts on it, and a second one finds it noted already."""
        self._stopping = True


def end_marked(mark: str) -> None:
    """Kill every process whose environment carries `mark`: a killed supervisor's parts, a stopped one's stragglers."""
    while marked := [pid for pid in _pids() if _carries(pid, mark.encode())]:
        for pid in marked:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(_TICK / 2)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _carries(pid: int, mark: bytes) -> bool:
    if pid == os.getpid():
        return False
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False  # gone meanwhile, or somebody else's


def _how(child: processes.Child) -> str:
    code = child.process.returncode
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"code {code}"


def _last_words(name: str, log: Path) -> str:
    """Say why a part does not start: what its log tells, and where the rest is."""
    output = log.read_text(errors="replace") if log.exists() else ""
    return f"{name} does not start: {processes.telling_line(output)} (all of it: {log})"
