"""A real web server on this test run's database and broker."""

import sys
from pathlib import Path

import httpx2
import psutil

from config.embedded import parts, processes
from tests.processes import ROOT, stack_environment
from tests.waiting import eventually


def start(directory: Path, port: int, *, name: str = "web", **environment: str) -> processes.Child:
    """Start it, and wait until it is ready."""
    variables = stack_environment(WAYBILL_ROLE="web", GRANIAN_HOST="127.0.0.1", GRANIAN_PORT=str(port), **environment)
    log = directory / f"{name}.log"
    child = processes.start([sys.executable, "-m", *parts.WEB], environment=variables, log=log, directory=ROOT)
    eventually(lambda: is_ready(port), within=60, what="the web server")
    return child


def is_ready(port: int) -> bool:
    try:
        return bool(httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200)
    except httpx2.TransportError:
        return False


def memory(child: processes.Child) -> int:
    """Bytes in use by the server's processes."""
    family = psutil.Process(child.process.pid)
    return sum(process.memory_info().rss for process in [family, *family.children(recursive=True)])
