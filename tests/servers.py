"""The pytest plugin that gives a run its own PostgreSQL and Valkey.

In: nothing. Out: the environment that Django's settings read, set before they are imported.
Loaded by `-p tests.servers`. The controller of pytest-xdist starts the servers; its workers inherit the environment.
"""

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from config.embedded import postgres, processes, valkey

PASSWORD = "only-for-this-run"
NO_SKIPS = "WAYBILL_TEST_NO_SKIPS"  # set by .ci/run: what would be skipped fails
_OUR_SWITCHES = {
    NO_SKIPS,
    "WAYBILL_KILLS",
    "WAYBILL_KILL_MESSAGES",
    "WAYBILL_SCHEMA_CASES",
    "WAYBILL_SCREENSHOTS",
    "WAYBILL_SCREENSHOTS_MINUTES",
}
_WITHIN = 30.0

ENGINE_AT_A_TENTH = {
    "WAYBILL_LEASE": "1.5",
    "WAYBILL_HEARTBEAT": "0.5",
    "WAYBILL_LEASE_MARGIN": "0.3",
    "WAYBILL_SLICE": "0.2",
    "WAYBILL_FLUSH_AFTER": "0.05",
    "WAYBILL_WAKE_FLAG": "1",
    "WAYBILL_PUBLISH_PAUSE": "0.1",
    "WAYBILL_WAKE_PATIENCE": "1",  # longer than usual: on a machine with other work a tenth passes, and tests count
    "WAYBILL_SWEEP": "0.1",
    "WAYBILL_STALE_WAKE": "0.3",
    "WAYBILL_DEAF_AFTER": "3",
    "WAYBILL_GRACE": "2",
    "WAYBILL_HANDLER_GRACE": "0.5",
    "WAYBILL_RETRY_FIRST": "0.1",
    "WAYBILL_RETRY_CEILING": "2",
    "WAYBILL_PROBE_FIRST": "0.1",
    "WAYBILL_PROBE_CEILING": "1",
    "WAYBILL_HOLD_CEILING": "0.5",
    "WAYBILL_CLIENT_CACHE_SECONDS": "0.2",
    "WAYBILL_TYPES_CACHE_SECONDS": "0.2",
}
_servers = ExitStack()
atexit.register(_servers.close)  # a run that fails before it is configured has no other end


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Iterator[None]:
    """Come before pytest-django, which imports the settings in this hook."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        _servers.enter_context(_running_servers())
    else:
        _use_valkey(int(worker.removeprefix("gw")) + 1)
    return (yield)


def pytest_unconfigure() -> None:
    """End the servers: at the end of a run, of a broken one, and after Ctrl-C."""
    _servers.close()


@contextmanager
def throwaway_postgres(directory: Path) -> Iterator[tuple[processes.Child, int]]:
    """A PostgreSQL in `directory`, quick and not durable; yields the child and its port."""
    place = postgres.find_place(directory, spare=Path("/var/lib/waybill") / f"test-{uuid.uuid4().hex}")
    try:
        postgres.initialise(place, password=PASSWORD, durable=False)
        port = processes.free_port()
        child = postgres.start(place, port=port, log=directory / "postgres.log", durable=False)
        try:
            processes.wait_until(
                lambda: postgres.answers(password=PASSWORD, port=port), what="PostgreSQL", within=_WITHIN, child=child
            )
            yield child, port
        finally:
            child.stop(within=10)
    finally:
        if place.data.parent != directory:
            shutil.rmtree(place.data.parent, ignore_errors=True)
        shutil.rmtree(place.sockets, ignore_errors=True)


@contextmanager
def throwaway_valkey(directory: Path, *, port: int | None = None) -> Iterator[tuple[processes.Child, int]]:
    """A Valkey in `directory`; yields the child and its port."""
    port = port or processes.free_port()
    child = valkey.start(directory / "valkey", password=PASSWORD, port=port, log=directory / "valkey.log")
    try:
        processes.wait_until(
            lambda: valkey.answers(password=PASSWORD, port=port), what="Valkey", within=_WITHIN, child=child
        )
        yield child, port
    finally:
        child.stop(within=5)


@contextmanager
def _running_servers() -> Iterator[None]:
    directory = Path(tempfile.mkdtemp(prefix="waybill-test-"))
    directory.chmod(0o755)  # PostgreSQL runs as another user when we are root
    try:
        with throwaway_postgres(directory) as (_, postgres_port), throwaway_valkey(directory) as (_, valkey_port):
            _fill_environment(postgres_port=postgres_port, valkey_port=valkey_port)
            yield
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _fill_environment(*, postgres_port: int, valkey_port: int) -> None:
    for name in [name for name in os.environ if name.startswith("WAYBILL_") and name not in _OUR_SWITCHES]:
        del os.environ[name]  # what the caller's shell says about another stack
    os.environ.update(ENGINE_AT_A_TENTH)
    os.environ["SECRET_KEY"] = "for-tests-only-and-long-enough-to-be-a-key-for-hmac-sha256"
    os.environ["DATABASE_URL"] = postgres.url(password=PASSWORD, port=postgres_port)
    os.environ["WAYBILL_APPS"] = "tests.company"
    os.environ["WAYBILL_TEST_VALKEY_PORT"] = str(valkey_port)
    _use_valkey(0)


def _use_valkey(worker: int) -> None:
    """Give every process of a run its own two databases: wake-ups, and flags."""
    port = int(os.environ["WAYBILL_TEST_VALKEY_PORT"])
    os.environ["BROKER_URL"] = valkey.url(password=PASSWORD, port=port, database=2 * worker)
    os.environ["CACHE_URL"] = valkey.url(password=PASSWORD, port=port, database=2 * worker + 1)
