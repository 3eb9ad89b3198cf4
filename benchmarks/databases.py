"""Further databases on the benchmark's PostgreSQL server, and Waybill's own processes that work on them.

A part that wants a ledger of a certain size gets one of its own, so that it neither finds the other parts' messages
nor leaves any behind.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count

import psycopg

from benchmarks import stack, waybill
from benchmarks.stack import Running
from config.embedded import parts as stack_parts

_FURNISHED = "furnished"
_BROKER_DATABASES = count(10, 2)
"""Of Valkey's databases the stack has 0 and 1, the peer 9; each further site has two of its own."""


@contextmanager
def database(running: Running, name: str) -> Iterator[Running]:
    """Make an empty, furnished database; it is dropped at the end. Nothing of Waybill runs on it yet."""
    with _server(running) as server:
        if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_FURNISHED]).fetchone():
            server.execute(f"CREATE DATABASE {_FURNISHED}")
            _furnish(running.on(url="", DATABASE_URL=_address(running, _FURNISHED)))
        server.execute(f"CREATE DATABASE {name} TEMPLATE {_FURNISHED}")
    broker = next(_BROKER_DATABASES) % 60  # there are 64
    try:
        yield running.on(
            url="",
            DATABASE_URL=_address(running, name),
            BROKER_URL=f"{_broker(running)}/{broker}",
            CACHE_URL=f"{_broker(running)}/{broker + 1}",
        )
    finally:
        with _server(running) as server:
            server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def web(site: Running) -> Iterator[Running]:
    """Serve a database over HTTP."""
    port = stack.free_port()
    place = ("--host", "127.0.0.1", "--port", str(port))
    environment = site.environment | {"WAYBILL_ROLE": "web"}
    with stack.beside(*stack_parts.WEB, *place, environment=environment):
        stack.wait_until_open(port)
        yield site.on(url=f"http://127.0.0.1:{port}", PORT=str(port))


@contextmanager
def workers(site: Running, number: int) -> Iterator[Sequence[int]]:
    """Have so many worker processes work on a database; yield their process ids when all of them live."""
    environment = site.environment | {"WAYBILL_ROLE": "worker"}
    with ExitStack() as started:
        pids = [
            started.enter_context(stack.beside(*stack_parts.WORKER, "-n", f"bench-{n}@%h", environment=environment))
            for n in range(number)
        ]
        stack.wait_until(
            lambda: waybill.ask(site, "SELECT count(*) FROM orchestrator_worker") == number,
            what=f"{number} worker processes",
            within=60,
        )
        yield pids


def _furnish(site: Running) -> None:
    waybill.run_module(site, "config.embedded.furnish", "--demo", site.sandbox_url)


def _server(running: Running) -> psycopg.Connection:
    return psycopg.connect(_address(running, "postgres"), autocommit=True)


def _address(running: Running, name: str) -> str:
    return running.database_url.rsplit("/", 1)[0] + f"/{name}"


def _broker(running: Running) -> str:
    return running.broker_url.rsplit("/", 1)[0]
