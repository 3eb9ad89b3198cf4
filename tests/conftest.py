"""Fixtures that every folder of tests shares."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests import processes


@pytest.fixture(autouse=True)
def _empty_broker() -> None:
    """Start every test with no wake-ups and no flags of the test before."""
    for variable in ("BROKER_URL", "CACHE_URL"):
        with redis.Redis.from_url(os.environ[variable]) as client:
            client.flushdb()


@pytest.fixture
def worker_process(tmp_path: Path) -> Iterator[Callable[..., processes.WorkerProcess]]:
    """Start real workers: `worker_process()`, `worker_process(WAYBILL_LEASE="3")`. Needs `django_db(transaction=True)`."""
    started: list[processes.WorkerProcess] = []

    def start(**environment: str) -> processes.WorkerProcess:
        name = f"{tmp_path.name}-{len(started)}"
        started.append(processes.start_worker(tmp_path, name=name, environment=environment))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()
