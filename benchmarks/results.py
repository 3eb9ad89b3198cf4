"""What is kept of a run: its figures, and the machine and the load beside which they were taken."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.figures import Figure
from benchmarks.stack import ROOT, Running

RESULTS = Path(__file__).parent / "results"
_NOISY_FROM = 0.5
"""Processes that want a core, for each core, before the run began: from here on its figures are marked."""


class Run:
    """A run that begins now."""

    def __init__(self) -> None:
        self._began = time.time()
        self._load = os.getloadavg()[0]

    def write(self, figures: list[Figure], *, machine: dict[str, Any], failed: list[str]) -> None:
        """Write the run down, under the time at which it ended."""
        result = {
            "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._began)),
            "seconds": round(time.time() - self._began),
            "commit": _commit(),
            "noisy": self._load > _NOISY_FROM * (os.cpu_count() or 1),
            "load_before": round(self._load, 2),
            "machine": machine,
            "failed": failed,
            "figures": [figure._asdict() | {"met": figure.met} for figure in figures],
        }
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / time.strftime("%Y-%m-%dT%H%M%SZ.json", time.gmtime())
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def describe(running: Running) -> dict[str, Any]:
    """Return what the figures depend on: cores, memory, kernel, and PostgreSQL with its settings."""
    return {
        "cores": os.cpu_count(),
        "processor": _line("/proc/cpuinfo", "model name"),
        "memory": _line("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "postgresql": _settings(running),
    }


def _settings(running: Running) -> dict[str, str]:
    names = ["server_version", "fsync", "synchronous_commit", "wal_sync_method", "shared_buffers", "max_wal_size"]
    try:
        with psycopg.connect(running.database_url, connect_timeout=5) as connection:
            return {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in names}
    except psycopg.Error as error:
        return {"unknown": str(error).strip()}


def _line(path: str, name: str) -> str:
    lines = (line.split(":", 1) for line in Path(path).read_text().splitlines() if ":" in line)
    return next((value.strip() for key, value in lines if key.strip() == name), "unknown")


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
