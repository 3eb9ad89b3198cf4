"""A web server and a worker that are rigged with traps, on this test run's database and broker.

Each is started when it is first needed and again when a trap has ended it, so that many tests share them.
"""

import contextlib
import json
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from chaos.inside import traps
from config.embedded import parts, processes
from orchestrator.accounts import Account
from orchestrator.failpoints import Place
from orchestrator.models import Message, Request
from tests import factories
from tests.acceptance.backend import Backend
from tests.processes import ROOT, WorkerProcess, stack_environment, start_worker
from tests.waiting import eventually

APPS = "tests.company,tests.trouble,chaos.inside"


@dataclass
class Rigged:
    """The processes, the traps' directory, and what is behind them."""

    directory: Path
    account: Account
    backend: Backend
    port: int = field(default_factory=processes.free_port)
    _web: processes.Child | None = None
    _worker: WorkerProcess | None = None
    _workers: int = 0

    @property
    def environment(self) -> dict[str, str]:
        return {"WAYBILL_APPS": APPS, "CHAOS_DIRECTORY": str(self.directory), "WAYBILL_DEAF_AFTER": "60"}

    def web(self) -> processes.Child:
        """The running web server."""
        if self._web is None or not self._web.alive:
            self.end_web()
            environment = stack_environment(
                WAYBILL_ROLE="web", GRANIAN_HOST="127.0.0.1", GRANIAN_PORT=str(self.port), **self.environment
            )
            self._web = processes.start(
                [sys.executable, "-m", *parts.WEB],
                environment=environment,
                log=self.directory / "web.log",
                directory=ROOT,
            )
            eventually(lambda: self.get("/readyz") == 200, within=60, what="the rigged web server")
        return self._web

    def worker(self) -> WorkerProcess:
        """The running worker."""
        if self._worker is None or not self._worker.alive:
            self.end_worker()
            self._workers += 1
            self._worker = start_worker(self.directory, name=f"rigged-{self._workers}", environment=self.environment)
        return self._worker

    def end_web(self) -> None:
        """A granian whose child was killed may live on, or its child without it: the whole group is ended."""
        if self._web is not None:
            self._web.end()
            self._web = None

    def end_worker(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def part_with_worker(self) -> None:
        """Leave the running worker to the test: the next `worker()` is another one."""
        self._worker = None

    def trap(self, place: Place, action: str) -> None:
        traps.set_trap(self.directory, place, action)

    def is_sprung(self, place: Place) -> bool:
        return traps.is_sprung(self.directory, place)

    def wait_until_sprung(self, place: Place) -> None:
        eventually(lambda: self.is_sprung(place), within=30, what=f"the trap at {place}")

    def begun(self, *message_ids: uuid.UUID) -> list[int]:
        """How often a Witness began with each message."""
        log = self.directory / "begun.jsonl"
        keys = [json.loads(line)["key"] for line in log.read_text().splitlines()] if log.exists() else []
        return [keys.count(str(message_id)) for message_id in message_ids]

    def called(self, *message_ids: uuid.UUID) -> list[int]:
        """How often the back end was called for each message, by Idempotency-Key."""
        return [self.backend.calls[str(message_id)] for message_id in message_ids]

    # ------------------------------------------------------------ calls

    def get(self, path: str) -> int:
        with contextlib.suppress(httpx2.TransportError):
            return int(self.call("GET", path).status_code)
        return 0

    def call(self, method: str, path: str, **options: Any) -> httpx2.Response:
        auth = (self.account.client_id, factories.SECRET)
        with httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30, trust_env=False) as client:
            return client.request(method, path, auth=auth, **options)

    def call_or_lose(self, method: str, path: str, **options: Any) -> httpx2.Response | None:
        """None when the connection broke before there was an answer."""
        try:
            return self.call(method, path, **options)
        except httpx2.TransportError:
            return None


def open_of(request_id: uuid.UUID) -> int:
    """How many of a request's messages are not final."""
    return Message.objects.filter(request=request_id, processed_at=None).count()


def messages_of(request_id: uuid.UUID) -> list[Message]:
    return list(Message.objects.filter(request=request_id).order_by("number"))


def adds_up(request_id: uuid.UUID) -> bool:
    """Whether a request that is over says so, and counts what its messages say."""
    request, messages = Request.objects.get(pk=request_id), messages_of(request_id)
    counted = {name: sum(message.status.lower() == name for message in messages) for name in _COUNTERS}
    return (
        request.open == 0
        and request.completed_at is not None
        and request.total == len(messages)
        and counted == {name: getattr(request, name) for name in _COUNTERS}
    )


_COUNTERS = ("complete", "failed", "invalid", "cancelled")
