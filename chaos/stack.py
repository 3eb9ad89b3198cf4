"""A whole Waybill of its own for chaos: `make up` in a fresh home, with `chaos.inside` in every process.

In: a directory for the run. Out: a running stack whose parts can be found by name. Called by the run and the monkey.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from benchmarks.stack import free_port
from config.embedded import parts

ROOT = Path(__file__).resolve().parent.parent
PATTERNS = {  # part → what its main process has in its command line
    "postgres": "bin/postgres -D",
    "valkey": "valkey-server",
    "web": "config.asgi:application",
    "worker-1": "-n worker-1@",
    "worker-2": "-n worker-2@",
    "beat": "-A config beat",
}
ENGINE = {  # a third of what is usual, so that minutes show what else takes a quarter of an hour
    "WAYBILL_LEASE": "5",
    "WAYBILL_HEARTBEAT": "1.5",
    "WAYBILL_LEASE_MARGIN": "1",
    "WAYBILL_SLICE": "0.7",
    "WAYBILL_STALE_WAKE": "1",
    "WAYBILL_WAKE_FLAG": "2",
    "WAYBILL_DEAF_AFTER": "20",
    "WAYBILL_GRACE": "4",
    "WAYBILL_HANDLER_GRACE": "3",
    "WAYBILL_RETRY_FIRST": "0.3",
    "WAYBILL_RETRY_CEILING": "3",
    "WAYBILL_RETRY_AFTER_CEILING": "5",
    "WAYBILL_ANSWER_SECONDS": "10",
    "WAYBILL_TYPES_CACHE_SECONDS": "0.5",
    "WAYBILL_CLIENT_CACHE_SECONDS": "1",
}
_OURS = ("WAYBILL_", "DJANGO_", "DATABASE_URL", "BROKER_URL", "CACHE_URL", "SECRET_KEY", "CHAOS_")


@dataclass
class Stack:
    """A running stack."""

    home: Path
    port: int
    directory: Path
    supervisor: "subprocess.Popen[bytes]"
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a further process of the stack needs."""
        return {**_bare(), **self.variables, "WAYBILL_HOME": str(self.home), "CHAOS_DIRECTORY": str(self.directory)}

    def pid_of(self, part: str) -> int | None:
        """The oldest process below the supervisor that has the part's pattern in its command line."""
        found = [pid for pid in _below(self.supervisor.pid) if PATTERNS[part] in _command(pid)]
        return min(found, default=None)

    def children_of(self, part: str) -> list[int]:
        pid = self.pid_of(part)
        return _below(pid) if pid else []

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of our own to the ledger. Blocking: call it in a thread."""
        return psycopg.connect(self.variables["DATABASE_URL"], autocommit=True, connect_timeout=2)

    async def carry_out(self, *module: str) -> None:
        """Run `python -m …` joined to the stack, unrigged; raise SystemExit when it fails."""
        done = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *module),
            cwd=ROOT,
            env={**self.environment, "WAYBILL_APPS": "", "DJANGO_SETTINGS_MODULE": "config.settings"},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await done.communicate()
        if done.returncode:
            raise SystemExit(f"{' '.join(module)}: {errors.decode()[-1000:]}")

    async def start_worker(self, name: str, **environment: str) -> asyncio.subprocess.Process:
        """Start one more worker beside those of the supervisor; its output goes to the home's logs."""
        with (self.home / "logs" / f"{name}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", *parts.WORKER, "-n", f"{name}@%h"),
                cwd=ROOT,
                env={**self.environment, "WAYBILL_ROLE": "worker", **environment},
                stdout=log,
                stderr=log,
            )

    async def is_ready(self, path: str = "/readyz") -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            async with httpx2.AsyncClient(timeout=3, trust_env=False) as http:
                return (await http.get(f"{self.url}{path}")).status_code == 200
        return False

    async def wait_until_ready(self, *, within: float) -> None:
        """Wait for the whole stack; raise SystemExit after `within` seconds."""
        deadline = asyncio.get_running_loop().time() + within
        while not await self.is_ready():
            if self.supervisor.poll() is not None or asyncio.get_running_loop().time() > deadline:
                raise SystemExit(f"the stack is not ready; its output: {self.directory / 'stack.out'}")
            await asyncio.sleep(0.2)


@asynccontextmanager
async def running(directory: Path, **settings: str) -> AsyncIterator[Stack]:
    """Start a stack in an empty home, yield it when it is ready, stop it and remove the home."""
    home = Path(tempfile.mkdtemp(prefix="waybill-chaos-"))
    home.chmod(0o755)
    port = free_port()
    environment = {**_bare(), **ENGINE, "WAYBILL_APPS": "chaos.inside", **settings}
    environment |= {"WAYBILL_HOME": str(home), "PORT": str(port), "CHAOS_DIRECTORY": str(directory)}
    with (directory / "stack.out").open("ab") as output:
        supervisor = subprocess.Popen(  # noqa: ASYNC220 - it outlives the call, and starts at once
            [sys.executable, "-m", "config.embedded"], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    stack = Stack(home, port, directory, supervisor)
    try:
        await stack.wait_until_ready(within=180)
        lines = (line.split("=", 1) for line in (home / "stack.env").read_text().splitlines())
        stack.variables = {name: value.strip("'") for name, value in lines}
        yield stack
    finally:
        supervisor.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(supervisor.wait, 60)
        supervisor.kill()
        shutil.copytree(home / "logs", directory / "logs", dirs_exist_ok=True)
        shutil.rmtree(home, ignore_errors=True)


def _bare() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


def _below(pid: int) -> list[int]:
    """All descendants of a process."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            child, parent = int(entry.parent.name), int(entry.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(child)
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
