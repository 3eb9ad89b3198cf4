"""Child processes that are ended whole, and that never outlive whoever started them.

In: a command, its environment, a log file. Out: a `Child` to watch and to stop.
Called by the supervisor and by the tests' throwaway servers.
"""

import contextlib
import ctypes
import errno
import os
import pwd
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)  # loaded here: nothing may be imported between fork and exec
_KILL_BY_DIRECTORY = 'for p in /proc/[0-9]*; do [ "$p/cwd" -ef "$1" ] && kill -9 "${p#/proc/}"; done 2>/dev/null; true'
_KILL_WAIT = 5.0
_NAMES_A_FULL_DISK = re.compile(rf"{os.strerror(errno.ENOSPC)}|Check free disk space")
_NAMES_AN_ERROR = re.compile(r"^(\w+\.)*\w*(Error|Exception|Exit|Configured)\b.*:|FATAL:|PANIC:|\berror:")


class NeverReady(Exception):
    """A part did not become ready in time."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running child, leader of its own session and process group, and the signal that asks it to stop."""

    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals

    @property
    def alive(self) -> bool:
        """Whether it still runs; a child that ended is reaped here."""
        return self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Send the polite signal, to the leader alone: each server passes it on in its own way."""
        if self.alive:
            self.process.send_signal(self.stop_signal)

    def end(self) -> None:
        """Kill whatever is left of the process group and reap the leader: a dead leader's group may live on."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=_KILL_WAIT)

    def stop(self, *, within: float) -> None:
        """Ask, wait `within` seconds, then end what is left."""
        self.ask_to_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=within)
        self.end()


def run_as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    """Say as whom a command runs: with that user's own group and no other; None: as we do."""
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path,
    directory: Path,
    stop_signal: signal.Signals = signal.SIGTERM,
    user: pwd.struct_passwd | None = None,
) -> Child:
    """Start a command in its own session, its output appended to `log`.

    The kernel sends it `stop_signal` when the calling *thread* ends, however that ends.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command),
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: _die_with_parent(stop_signal),  # noqa: PLW1509 - it calls one C function, loaded already
            **run_as(user),
        )
    return Child(process=process, stop_signal=stop_signal)


def wait_until(ready: Callable[[], bool], *, what: str, within: float, child: Child | None = None) -> None:
    """Poll `ready` until it is true. Raises NeverReady after `within` seconds, or as soon as the child has ended."""
    deadline = time.monotonic() + within
    while not ready():
        if child is not None and not child.alive:
            raise NeverReady(f"{what} ended with code {child.process.returncode}")
        if time.monotonic() > deadline:
            raise NeverReady(f"{what} was not ready within {within:g} s")
        time.sleep(0.05)


def end_by_directory(directory: Path, *, user: pwd.struct_passwd | None) -> None:
    """Kill every process that works in `directory`.

    Looked up as the user they run as: in a container root may not look at another user's processes.
    """
    subprocess.run(
        ["/bin/sh", "-c", _KILL_BY_DIRECTORY, "sh", str(directory)],
        check=True,
        cwd="/",
        **run_as(user),
    )


def free_port() -> int:
    """Return a free loopback port below the range of outgoing connections: nobody takes it while its part restarts."""
    for _ in range(1000):
        port = SystemRandom().randrange(20_000, 32_000)
        if port_is_free(port):
            return port
    raise NeverReady("no free port between 20000 and 32000")


def port_is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there."""
    try:
        listen_once(port, host=host)
    except OSError:
        return False
    return True


def listen_once(port: int, *, host: str) -> None:
    """Listen and leave again. Without SO_REUSEPORT, which shares a port; SO_REUSEADDR only forgives one just left.

    Raises OSError.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        probe.listen(1)


def telling_line(output: str) -> str:
    """Return the line that tells best why a program failed: a full disk, else the last error, else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()][-100:]
    full = [line for line in lines if _NAMES_A_FULL_DISK.search(line)]
    errors = [line for line in lines if _NAMES_AN_ERROR.search(line)]
    return (full or errors or lines or ["it said nothing"])[-1][:300]


def _die_with_parent(stop_signal: signal.Signals) -> None:
    """Let the kernel signal this process when its parent thread ends. Runs before exec, after the user is set."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(stop_signal))
