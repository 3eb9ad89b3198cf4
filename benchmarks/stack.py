"""A whole Waybill for a benchmark: its own home, started as `make up` starts it, with the usual durable PostgreSQL."""

import json
import os
import shutil
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from config.embedded import processes
from config.embedded.home import Home

ROOT = Path(__file__).resolve().parent.parent
_READY_WITHIN = 120.0
_STOPS_WITHIN = 30.0


class NeverCame(Exception):
    """What was waited for did not come in time."""


@dataclass(frozen=True, slots=True)
class Running:
    """A stack that is ready: its address, and what its `stack.env` says."""

    url: str
    home: Path
    variables: dict[str, str]

    @property
    def database_url(self) -> str:
        return self.variables["DATABASE_URL"]

    @property
    def broker_url(self) -> str:
        return self.variables["BROKER_URL"]

    @property
    def sandbox_url(self) -> str:
        port = json.loads((self.home / "kept.json").read_text())["sandbox_port"]
        return f"http://127.0.0.1:{port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a further process needs to join the stack."""
        return {**os.environ, **self.variables, "WAYBILL_HOME": str(self.home)}

    def on(self, *, url: str, **variables: str) -> "Running":
        """Return the same with another address and other variables."""
        return replace(self, url=url, variables=self.variables | variables)


@contextmanager
def running(**settings: str) -> Iterator[Running]:
    """Start a stack in an empty home, yield it when it is ready, stop it and remove the home."""
    home = Path(tempfile.mkdtemp(prefix="waybill-bench-"))
    home.chmod(0o755)
    port = processes.free_port()
    environment = {**os.environ, "WAYBILL_HOME": str(home), "PORT": str(port), **settings}
    for replaced in ("DATABASE_URL", "BROKER_URL", "CACHE_URL"):
        environment.pop(replaced, None)
    child = processes.start(
        [sys.executable, "-m", "config.embedded"], environment=environment, log=home / "stack.log", directory=ROOT
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, child, log=home / "stack.log")
        yield Running(url=url, home=home, variables=_read(home / "stack.env"))
    finally:
        child.stop(within=_STOPS_WITHIN)
        _remove(home)


def _remove(home: Path) -> None:
    """Remove a home, and what it keeps elsewhere when PostgreSQL's user can't reach it."""
    if (home / "kept.json").exists():
        shutil.rmtree(Home(home).spare, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def _wait_until_ready(url: str, child: processes.Child, *, log: Path) -> None:
    try:
        processes.wait_until(lambda: _answers(url), what="the stack", within=_READY_WITHIN, child=child)
    except processes.NeverReady as never:
        raise SystemExit(f"{never}: {processes.telling_line(log.read_text(errors='replace'))}") from never


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _read(path: Path) -> dict[str, str]:
    lines = (line.split("=", 1) for line in path.read_text().splitlines())
    return {name: value.strip("'") for name, value in lines}


@contextmanager
def beside(*command: str, environment: Mapping[str, str]) -> Iterator[int]:
    """Run `python -m` with the command beside the stack, as long as the block lasts; yield its process id."""
    child = processes.start(
        [sys.executable, "-m", *command], environment=environment, log=Path(os.devnull), directory=ROOT
    )
    try:
        yield child.process.pid
    finally:
        child.stop(within=_STOPS_WITHIN)


def wait_until(ready: Callable[[], object], *, what: str, within: float, pause: float = 0.02) -> None:
    """Wait for a condition. Raises NeverCame."""
    deadline = time.monotonic() + within
    while not ready():
        if time.monotonic() > deadline:
            raise NeverCame(f"{what} did not come within {within:g} s")
        time.sleep(pause)


def wait_until_open(port: int) -> None:
    """Wait until something listens there."""

    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(is_open, what=f"a server on port {port}", within=_READY_WITHIN, pause=0.1)


def free_port() -> int:
    """Return a port that nobody listens on."""
    return processes.free_port()
