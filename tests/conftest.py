"""Fixtures that every folder of tests shares."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_django
import redis
from django.db import connection

from tests import processes, servers


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "debian(program, package): needs a program of a Debian package")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose Debian package is missing, with the reason; in CI that is a failure."""
    for marker in item.iter_markers("debian"):
        program, package = marker.args
        if shutil.which(program) is None:
            reason = f"needs Debian's package {package}"
            pytest.fail(reason) if os.environ.get(servers.NO_SKIPS) else pytest.skip(reason)


@pytest.fixture(autouse=True)
def _empty_broker() -> None:
    """Start every test with no wake-ups and no flags of the test before."""
    for variable in ("BROKER_URL", "CACHE_URL"):
        with redis.Redis.from_url(os.environ[variable]) as client:
            client.flushdb()


@pytest.fixture
def lasting_caches(settings: pytest_django.Settings) -> None:
    """Keep what the process remembers of clients and types: a refresh in mid-test would count as a statement."""
    settings.WAYBILL_CLIENT_CACHE_SECONDS = settings.WAYBILL_TYPES_CACHE_SECONDS = 600.0


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker) -> Iterator[None]:
    """Let the test database be dropped: the server notices a killed worker's sessions only when they next speak."""
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture
def worker_process(tmp_path: Path) -> Iterator[Callable[..., processes.WorkerProcess]]:
    """Start real workers: `worker_process(WAYBILL_LEASE="3")`. Needs `django_db(transaction=True)`."""
    started: list[processes.WorkerProcess] = []

    def start(**environment: str) -> processes.WorkerProcess:
        name = f"{tmp_path.name}-{len(started)}"
        started.append(processes.start_worker(tmp_path, name=name, environment=environment))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()
