"""Whether this process can do its work.

In: nothing. Out: what stands and what does not, of the things that a web process leans on.
Called by `/livez` and `/readyz`.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from kombu import Connection

from orchestrator import ledger_pool

_PATIENCE_SECONDS = 2.0
_BROKER_TIMEOUT_SECONDS = 0.5
_BROKER_KNOWN_FOR_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """What was found. The broker may be away: work is still accepted, and carried out later."""

    database: bool
    migrations: bool
    broker: bool

    @property
    def ready(self) -> bool:
        """Whether requests can be served."""
        return self.database and self.migrations


def check() -> Readiness:
    """Ask the database and the broker. A database that stands still counts as away: who asks has little patience."""
    broker = _broker(settings.BROKER_URL).answers()
    try:
        migrations = _asking.submit(_has_every_migration).result(timeout=_PATIENCE_SECONDS)
    except (Error, TimeoutError):
        return Readiness(database=False, migrations=False, broker=broker)
    return Readiness(database=True, migrations=migrations, broker=broker)


_asking = ThreadPoolExecutor(1, thread_name_prefix="readiness")
"""The thread that may be left waiting for a database that stands still; those who ask meanwhile wait behind it."""


def _has_every_migration() -> bool:
    """Ask the ledger. Raises the database's error when it is away."""
    try:
        return _expected_migrations() <= set(MigrationRecorder(connection).applied_migrations())
    except Error as failure:
        ledger_pool.renew_after(failure)
        raise
    finally:
        connection.close()


@cache
def _expected_migrations() -> frozenset[tuple[str, str]]:
    """Read the migrations on disk, once: code does not change while the process runs."""
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).graph.nodes)


class _Broker:
    """The broker's last answer, asked for at most once a second: anyone may call `/readyz`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._answered = False
        self._asked_at = float("-inf")

    def answers(self) -> bool:
        with self._lock:
            if time.monotonic() - self._asked_at > _BROKER_KNOWN_FOR_SECONDS:
                self._answered = _ask_broker(self._url)
                self._asked_at = time.monotonic()
            return self._answered


@cache
def _broker(url: str) -> _Broker:
    return _Broker(url)


def _ask_broker(url: str) -> bool:
    bounds = {"socket_timeout": _BROKER_TIMEOUT_SECONDS, "socket_connect_timeout": _BROKER_TIMEOUT_SECONDS}
    options = {"max_retries": 0, **(bounds if url.startswith("redis") else {})}
    try:
        with Connection(url, connect_timeout=_BROKER_TIMEOUT_SECONDS, transport_options=options) as asked:
            asked.ensure_connection(max_retries=1, interval_start=0, interval_max=0)
    except Exception:  # noqa: BLE001 - a broker fails in as many ways as there are transports
        return False
    return True
