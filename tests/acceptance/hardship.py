"""Servers that a test may kill, work under load, and the books afterwards."""

import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import redis
from django.conf import settings
from django.db import connection
from django.test import override_settings

from config.embedded import postgres, processes, valkey
from orchestrator import accounts, dispatch, intake
from orchestrator.idempotency import Answer
from orchestrator.intake import NewMessage, Receipt, Submission
from orchestrator.lifecycle import ErrorPolicy
from orchestrator.models import Claim, Message, Request
from tests import servers
from tests.waiting import eventually

# ---------------------------------------------------------------- servers


@dataclass
class Broker:
    """A Valkey that may be killed, and comes back empty at the same address."""

    directory: Path
    port: int
    child: processes.Child | None = None

    @property
    def url(self) -> str:
        return valkey.url(password=servers.PASSWORD, port=self.port)

    def start(self) -> None:
        self.child = valkey.start(
            self.directory / "valkey", password=servers.PASSWORD, port=self.port, log=self.directory / "valkey.log"
        )
        eventually(lambda: valkey.answers(password=servers.PASSWORD, port=self.port), what="Valkey's answer")

    def kill(self) -> None:
        """kill -9: nothing of it is kept."""
        if self.child:
            self.child.end()

    def empty(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()


@contextmanager
def own_broker(environment: Any) -> Iterator[Broker]:
    """Let this process, and those it starts, use a broker of the test's own; `environment` is pytest's monkeypatch."""
    with tempfile.TemporaryDirectory(prefix="waybill-broker-") as directory:
        broker = Broker(Path(directory), processes.free_port())
        broker.start()
        try:
            with broker_in_use(environment, broker_url=broker.url, cache_url=broker.url):
                yield broker
        finally:
            broker.kill()


@contextmanager
def broker_in_use(environment: Any, *, broker_url: str, cache_url: str) -> Iterator[None]:
    """Let this process, and those it starts, use a broker and a cache, or no cache."""
    environment.setenv("BROKER_URL", broker_url)
    environment.setenv("CACHE_URL", cache_url)
    redis_cache = settings.CACHES["default"] | {"LOCATION": cache_url}  # the workers' keys have the same prefix
    caches = {"default": redis_cache if cache_url else {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    try:
        with override_settings(BROKER_URL=broker_url, CACHE_URL=cache_url, CACHES=caches):
            dispatch._producers.cache_clear()
            yield
    finally:
        dispatch._producers.cache_clear()


@dataclass
class Ledger:
    """A PostgreSQL that may be restarted, and killed."""

    directory: Path
    place: postgres.Place
    port: int
    child: processes.Child | None = None

    def start(self) -> None:
        self.child = postgres.start(self.place, port=self.port, log=self.directory / "postgres.log", durable=False)
        eventually(
            lambda: postgres.answers(password=servers.PASSWORD, port=self.port), within=30, what="PostgreSQL's answer"
        )

    def stop(self) -> None:
        """As an operator's restart does: sessions are ended, and nothing is lost."""
        if self.child:
            self.child.stop(within=10)

    def kill(self) -> None:
        """kill -9: transactions that didn't wait for the disk are lost."""
        if self.child:
            self.child.end()


@contextmanager
def own_ledger(environment: Any) -> Iterator[Ledger]:
    """Let this process, and those it starts, use a migrated ledger of the test's own."""
    from django.core.management import call_command

    before = dict(connection.settings_dict)
    with tempfile.TemporaryDirectory(prefix="waybill-ledger-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)
        place = postgres.find_place(directory, spare=Path("/var/lib/waybill") / f"test-{uuid.uuid4().hex}")
        postgres.initialise(place, password=servers.PASSWORD, durable=False)
        ledger = Ledger(directory, place, processes.free_port())
        ledger.start()
        connection.close()
        environment.setenv("DATABASE_URL", postgres.url(password=servers.PASSWORD, port=ledger.port))
        connection.settings_dict |= {"PORT": ledger.port, "NAME": "postgres", "PASSWORD": servers.PASSWORD}
        try:
            call_command("migrate", verbosity=0)
            yield ledger
        finally:
            connection.close()
            connection.settings_dict |= {key: before[key] for key in ("PORT", "NAME", "PASSWORD")}
            ledger.stop()
            shutil.rmtree(place.sockets, ignore_errors=True)
            if place.data.parent != directory:
                shutil.rmtree(place.data.parent, ignore_errors=True)


# ---------------------------------------------------------------- work


def submit(account: accounts.Account, types: Sequence[str], *, error_policy: ErrorPolicy = ErrorPolicy.PROCEED) -> Any:
    """Hand in one request through intake, as a door does; returns its Request-Id."""
    messages = [NewMessage(name, None, orjson.dumps({"n": n}).decode()) for n, name in enumerate(types)]
    accepted: list[Receipt] = []

    def answer(receipt: Receipt) -> Answer:
        accepted.append(receipt)
        return Answer(status=202, body=b"")

    intake.accept(
        Submission(account=account, door="requests", messages=messages, error_policy=error_policy),
        key=None,
        answer=answer,
    )
    return accepted[0].request_id


# ---------------------------------------------------------------- the books


@dataclass(frozen=True)
class Books:
    """What the ledger says when everything is done."""

    accepted: int
    by_status: Counter[str]
    attempts: Counter[int]
    losses: Counter[int]
    doubles: int = 0
    calls: int = 0
    unbalanced: list[Any] = field(default_factory=list)


def open_messages() -> int:
    return Message.objects.filter(processed_at=None).count()


def claims_of(pid: int) -> int:
    """How many claims the worker process holds now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM orchestrator_claim JOIN orchestrator_worker AS worker ON worker.id = worker_id"
            " WHERE pid = %s",
            [pid],
        )
        return int(cursor.fetchone()[0])


def close_books(calls: Counter[str] | None = None, *, within: float = 60.0) -> Books:
    """Wait until nothing is open, check that each request adds up, and tally."""
    eventually(lambda: not open_messages(), within=within, what="the last final status")
    eventually(lambda: not Claim.objects.exists(), what="the end of the last claim")
    messages = list(Message.objects.values_list("request_id", "status", "attempts", "losses"))
    by_request: dict[Any, Counter[str]] = {}
    for request_id, status, _, _ in messages:
        by_request.setdefault(request_id, Counter())[status.lower()] += 1
    unbalanced = [
        request.pk
        for request in Request.objects.all()
        if request.open
        or request.completed_at is None
        or {"complete": request.complete, "failed": request.failed, "cancelled": request.cancelled}
        != {name: by_request[request.pk][name] for name in ("complete", "failed", "cancelled")}
        or request.total != by_request[request.pk].total()
    ]
    return Books(
        accepted=len(messages),
        by_status=Counter(status for _, status, _, _ in messages),
        attempts=Counter(attempts for _, _, attempts, _ in messages),
        losses=Counter(lost for _, _, _, lost in messages),
        doubles=sum(count > 1 for count in (calls or {}).values()),
        calls=sum((calls or {}).values()),
        unbalanced=unbalanced,
    )
