"""Real worker processes for tests: they can be stopped, killed, frozen."""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.db import connection

from config.embedded import parts, processes
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A running `celery -A config worker`, with everything it wrote."""

    child: processes.Child
    log: Path

    @property
    def pid(self) -> int:
        return self.child.process.pid

    @property
    def alive(self) -> bool:
        return self.child.alive

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """kill -9."""
        self.child.end()

    def stop(self, *, within: float = 10.0) -> int:
        """SIGTERM; returns the exit code, a negative one if it had to be killed."""
        self.child.stop(within=within)
        return int(self.child.process.returncode)

    def freeze(self) -> None:
        """Stop its clock, as a machine that swaps or a paused container does."""
        self.child.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.child.process.send_signal(signal.SIGCONT)


def stack_environment(**extra: str) -> dict[str, str]:
    """The environment in which another process joins this test's database, broker and cache."""
    database = connection.settings_dict
    url = os.environ["DATABASE_URL"].rsplit("/", 1)[0] + f"/{database['NAME']}"
    return {**os.environ, "DATABASE_URL": url, "PYTHONUNBUFFERED": "1", **extra}


def start_worker(directory: Path, *, name: str, environment: Mapping[str, str]) -> WorkerProcess:
    """Start a worker on this test's stack and wait until it takes work."""
    log = directory / f"{name}.log"
    child = processes.start(
        [sys.executable, "-m", *parts.WORKER, "-n", f"{name}@%h"],
        environment=stack_environment(WAYBILL_ROLE="worker", **environment),
        log=log,
        directory=ROOT,
    )
    worker = WorkerProcess(child=child, log=log)
    eventually(lambda: " ready." in worker.output() or not worker.alive, within=30, what=f"the start of {name}")
    assert worker.alive, worker.output()
    return worker
