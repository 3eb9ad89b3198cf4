"""One real stack for all tests of this folder, started by the project's own supervisor.

In: a directory that all processes of a pytest run share. Out: a running stack; the last process to leave stops it.
Called by the `stack` fixture. The state file holds what joins the processes: home, port, pid, how many use it.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[3]
_NOT_OURS = ("WAYBILL_", "DJANGO_", "DATABASE_URL", "BROKER_URL", "CACHE_URL", "SECRET_KEY", "PORT")
_started: dict[int, subprocess.Popen[bytes]] = {}  # by this process: only their parent can reap them


@dataclass(frozen=True)
class Stack:
    """A running stack: where it keeps its things and where it listens."""

    home: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *arguments: str, stdin: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `manage.py …` against this stack, as a person at its console would."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**environment(home=self.home, port=self.port), **more},
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def commanded(self, *arguments: str) -> str:
        """Run `manage.py …`, which must succeed; returns what it printed."""
        done = self.manage(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout


def environment(*, home: Path, port: int) -> dict[str, str]:
    """This process's environment without what the test run's own servers put there."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
    return {**inherited, "WAYBILL_HOME": str(home), "PORT": str(port), "PYTHONUNBUFFERED": "1"}


@contextmanager
def joined(directory: Path, **variables: str) -> Iterator[Stack]:
    """Use the run's stack: the first to come starts it, with `variables` on top, the last to leave stops it."""
    with _state(directory) as state:
        if not state.get("users"):
            state.update(_start(variables), users=0)
        state["users"] += 1
        stack = Stack(home=Path(state["home"]), port=state["port"])
    try:
        yield stack
    finally:
        with _state(directory) as state:
            state["users"] -= 1
            if not state["users"]:
                _stop(state)


@contextmanager
def _state(directory: Path) -> Iterator[dict[str, Any]]:
    with (directory / "contract-stack.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        state = json.loads(file.read() or "{}")
        yield state
        file.seek(0)
        file.truncate()
        file.write(json.dumps(state))


def _start(variables: Mapping[str, str]) -> Mapping[str, Any]:
    home = Path(tempfile.mkdtemp(prefix="waybill-contract-"))
    home.chmod(0o755)  # PostgreSQL runs as another user when we are root
    port = free_port()
    log = home / "stack.out"
    with log.open("w") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "config.embedded"],
            cwd=ROOT,
            env={**environment(home=home, port=port), **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # it outlives the process that happened to start it
        )
    _started[supervisor.pid] = supervisor

    def ready() -> bool:
        assert supervisor.poll() is None, log.read_text(errors="replace")
        return status(f"http://127.0.0.1:{port}/readyz") == 200

    try:
        eventually(ready, within=60, what="/readyz")
    except BaseException:
        _stop({"home": home, "pid": supervisor.pid})
        raise
    return {"home": str(home), "port": port, "pid": supervisor.pid}


def _stop(state: Mapping[str, Any]) -> None:
    if not _gone(state["pid"]):
        os.kill(state["pid"], signal.SIGTERM)
    eventually(lambda: _gone(state["pid"]), within=15, what="the end of the stack after SIGTERM")
    shutil.rmtree(state["home"], ignore_errors=True)


def _gone(pid: int) -> bool:
    if pid in _started:
        return _started[pid].poll() is not None
    try:  # another process of the run started it, and may not have reaped it yet
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def status(url: str) -> int:
    """The status that GET answers; 0 while nobody does."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code
    except OSError:
        return 0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
