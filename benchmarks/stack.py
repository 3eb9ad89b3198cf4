"""A whole Waybill for a benchmark: its own home, started as `make up` starts it, with the usual durable PostgreSQL."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_READY_WITHIN = 120.0


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


@contextmanager
def running(**settings: str) -> Iterator[Running]:
    """Start a stack in an empty home, yield it when it is ready, stop it and remove the home."""
    home = Path(tempfile.mkdtemp(prefix="waybill-bench-"))
    home.chmod(0o755)
    port = free_port()
    environment = {**os.environ, "WAYBILL_HOME": str(home), "PORT": str(port), **settings}
    for replaced in ("DATABASE_URL", "BROKER_URL", "CACHE_URL"):
        environment.pop(replaced, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "config.embedded"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process)
        yield Running(url=url, home=home, variables=_read(home / "stack.env"))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        shutil.rmtree(home, ignore_errors=True)


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise SystemExit("the stack for the benchmark did not become ready")


def _read(path: Path) -> dict[str, str]:
    lines = (line.split("=", 1) for line in path.read_text().splitlines())
    return {name: value.strip("'") for name, value in lines}


@contextmanager
def beside(*command: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Run `python -m` with the command beside the stack, as long as the block lasts."""
    running = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        running.terminate()
        running.wait(60)


def wait_until_open(port: int) -> None:
    """Wait until something listens there."""
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port}")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
