"""`make up` as a visitor starts it: real processes, its own home, its own port."""

import os
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
import psycopg

from config.embedded import parts
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parent.parent.parent
START_WITHIN = 90.0
DEMO = (parts.DEMO_CLIENT, parts.DEMO_SECRET)
PATTERNS = {  # part → what only its main process has in its command line
    "postgres": "bin/postgres -D",
    "valkey": "valkey-server",
    "web": "config.asgi:application",
    "sandbox": "config.embedded.sandbox:application",
    "worker-1": "-n worker-1@",
    "worker-2": "-n worker-2@",
    "beat": "-A config beat",
}


@contextmanager
def new_home() -> Iterator[Path]:
    """A home to be made, where PostgreSQL's user can reach it: pytest's own directories are closed to it."""
    with tempfile.TemporaryDirectory(prefix="waybill-home-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory) / "home"


def start(
    home: Path, *, port: int | str, log: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Begin `make up` in a session of its own, with nothing of this test run's environment."""
    with (log or _log_of(home)).open("ab") as output:
        return subprocess.Popen(
            ["make", "up"],
            cwd=ROOT,
            env=bare_environment(home) | {"PORT": str(port), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def printed(home: Path) -> str:
    """Everything that `make up` has printed for a home."""
    return _log_of(home).read_text() if _log_of(home).exists() else ""


def refused(home: Path, *, port: int | str, log: Path | None = None) -> str:
    """Run a `make up` that must not start; return what it printed, without make's own line."""
    process = start(home, port=port, log=log)
    assert process.wait(timeout=60) != 0
    lines = (log or _log_of(home)).read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("make: "))


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack."""

    make: subprocess.Popen[bytes]
    home: Path
    port: int

    def call(self, method: str, path: str, *, auth: tuple[str, str] = DEMO, **options: Any) -> httpx2.Response:
        with httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10) as client:
            return client.request(method, path, auth=auth, **options)

    def is_ready(self) -> bool:
        try:
            return self.call("GET", "/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def submit(self, message_type: str, **fields: Any) -> str | None:
        """Hand in one message; returns its request's id, None while the stack can't take it."""
        body = {
            "batchReference": "acceptance",
            "payload": [{"messageType": message_type, "externalReference": "1", **fields}],
        }
        try:
            answer = self.call("POST", "/api/v1/requests", json=body)
        except httpx2.TransportError:
            return None
        return str(answer.json()["data"]["id"]) if answer.status_code == 202 else None

    def message(self, request_id: str) -> dict[str, Any] | None:
        """The one message of a request once it is final, with its words of the tracking window."""
        try:
            answer = self.call("GET", f"/api/v1/requests/{request_id}")
        except httpx2.TransportError:
            return None
        if answer.status_code != 200:
            return None
        message: dict[str, Any] = answer.json()["data"]["payload"][0]
        return message if message["processedTime"] else None

    def carry_out(self, message_type: str, *, within: float = 30.0, **fields: Any) -> dict[str, Any]:
        """Hand in one message as soon as it is taken, and wait for its end."""
        request_id = eventually(
            lambda: self.submit(message_type, **fields), within=within, what="a submission that is taken"
        )
        return eventually(lambda: self.message(request_id), within=within, what=f"the end of a {message_type}")

    def pid_of(self, part: str) -> int | None:
        """The main process of a part: the oldest that has its pattern, since children may share it."""
        found = [process for process in self.processes() if PATTERNS[part] in " ".join(_command(process))]
        return min(found, key=lambda process: process.pid).pid if found else None

    def other_pid_of(self, part: str, before: int) -> int | None:
        """The main process of a part once it is another than `before`."""
        pid = self.pid_of(part)
        return pid if pid != before else None

    def processes(self) -> list[psutil.Process]:
        """Everything below `make`."""
        try:
            return list(psutil.Process(self.make.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return []

    def stop(self, number: signal.Signals = signal.SIGTERM, *, group: bool = False, within: float = 15.0) -> float:
        """Ask to stop, to `make` alone or to its group; returns the seconds it took. All its processes must be gone."""
        below = self.processes()
        began = time.monotonic()
        if group:
            os.killpg(self.make.pid, number)
        else:
            self.make.send_signal(number)
        self.make.wait(timeout=within)
        seconds = time.monotonic() - began
        left = [process for process in below if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
        assert left == [], "processes were left behind"
        return seconds

    def kill(self) -> None:
        """End everything, whatever the test left."""
        for process in [*self.processes(), psutil.Process(self.make.pid)] if self.make.poll() is None else []:
            if process.is_running():
                process.kill()
        self.make.wait(timeout=10)


def ready(home: Path, *, port: int, environment: Mapping[str, str] | None = None) -> Stack:
    """Start a stack and wait until it says it is ready."""
    before = len(printed(home))
    stack = Stack(make=start(home, port=port, environment=environment), home=home, port=port)
    try:
        eventually(
            lambda: "is ready" in printed(home)[before:] or stack.make.poll() is not None,
            within=START_WITHIN,
            what="make up",
        )
        assert stack.make.poll() is None, printed(home)
        assert stack.is_ready()
    except BaseException:
        stack.kill()
        raise
    return stack


def manage(home: Path, *arguments: str) -> str:
    """Run a command that joins the running stack of a home."""
    python = ROOT / ".venv" / "bin" / "python"
    done = subprocess.run(
        [python, "manage.py", *arguments],
        cwd=ROOT,
        env=bare_environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def external_database() -> str:
    """A fresh, empty database on the test run's own server; returns its address."""
    server, _ = os.environ["DATABASE_URL"].rsplit("/", 1)
    name = f"external_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{server}/{name}"


def _log_of(home: Path) -> Path:
    return home.with_name(f"{home.name}.out")


def bare_environment(home: Path) -> dict[str, str]:
    """A visitor's environment: nothing of this test run."""
    return {"PATH": os.environ["PATH"], "WAYBILL_HOME": str(home)}


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
