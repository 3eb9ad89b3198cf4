"""Traps: files that are named after a place and say what befalls the process that gets there first.

In: a directory that a test shares with the processes it rigs. Out: kills, errors and broken connections, each once.
"""

import os
import select
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import structlog
from django.db import OperationalError, connection

from orchestrator.failpoints import Place

log = structlog.get_logger(__name__)


def kill() -> None:
    """End as by kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


def freeze() -> None:
    """Stand still until somebody sends SIGCONT."""
    os.kill(os.getpid(), signal.SIGSTOP)


def fail() -> None:
    """Raise what a database says that goes away."""
    raise OperationalError("struck by a trap")


def cut() -> None:
    """Break the connection to the database: what is sent next does not arrive."""
    with _line() as line:
        line.shutdown(socket.SHUT_RDWR)


def commit_and_cut() -> None:
    """Have the database commit, and break the connection before its answer is read: done, and seen as an error.

    The message goes straight over the line (PostgreSQL's protocol, simple query): the driver must know nothing of it.
    Its answer is taken off the line, or the driver would read it as the answer to its own COMMIT and see no error.
    """
    with _line() as line:
        line.sendall(b"Q" + struct.pack(">i", 4 + len(_COMMIT)) + _COMMIT)
        answer = b""
        while not answer.endswith(_READY) and select.select([line], [], [], 10)[0]:
            answer += line.recv(65536) or _READY  # nothing at all: the server has gone
        line.shutdown(socket.SHUT_RDWR)


_COMMIT = b"COMMIT\0"
_READY = b"Z" + struct.pack(">i", 5) + b"I"  # ReadyForQuery, and no transaction is open


def _line() -> socket.socket:
    return socket.socket(fileno=os.dup(connection.connection.pgconn.socket))


ACTIONS: dict[str, Callable[[], None]] = {
    "kill": kill,
    "freeze": freeze,
    "fail": fail,
    "cut": cut,
    "commit-and-cut": commit_and_cut,
}


class Traps:
    """The traps of a directory. Whoever renames the file has sprung the trap: two processes never share one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def strike(self, place: Place) -> None:
        sprung = self._directory / f"{place}.sprung"
        try:
            os.rename(self._directory / place, sprung)  # noqa: PTH104 - the cheapest way to ask, at every place
        except FileNotFoundError:
            return
        action = sprung.read_text()
        log.critical("struck by a trap", place=place.value, action=action)
        ACTIONS[action]()


def set_trap(directory: Path, place: Place, action: str) -> None:
    """Set a trap in `directory`: for the first rigged process that passes the place."""
    traps = directory / "traps"
    traps.mkdir(parents=True, exist_ok=True)
    (traps / f"{place}.sprung").unlink(missing_ok=True)
    fresh = traps / f".{place}"
    fresh.write_text(action)
    fresh.rename(traps / place)


def is_sprung(directory: Path, place: Place) -> bool:
    """Tell whether some process has been struck there since the trap was set."""
    return (directory / "traps" / f"{place}.sprung").exists()


def lift_traps(directory: Path) -> None:
    """Take away the traps that nobody has sprung."""
    for place in Place:
        (directory / "traps" / place).unlink(missing_ok=True)
