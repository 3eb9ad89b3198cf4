"""Run the peer: plain Celery, Django and DRF beside Waybill, on the same PostgreSQL server and broker."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from benchmarks import stack
from benchmarks.stack import ROOT, Running

POOLS = {"prefork 2": ("-P", "prefork", "-c", "2"), "threads 8": ("-P", "threads", "-c", "8")}
KEPT = "threads 8, connections kept"
"""The pool of 8 threads with a setting that few know; shown beside the others, and not what the target speaks of."""
FOR_CALLS = {"prefork 1": ("-P", "prefork", "-c", "1"), "threads 100": ("-P", "threads", "-c", "100")}
"""For work that waits for a back end: Celery's own way, and that of one who knows how the work is."""
_OPTIONS = POOLS | FOR_CALLS | {KEPT: POOLS["threads 8"]}


def pools(*, short: bool) -> tuple[str, ...]:
    """Return the pools that a part tries; a short run one of them, since each takes seconds to start."""
    return ("threads 8",) if short else (*POOLS, KEPT)


def carry_through(running: Running, *, jobs: int, pool: str) -> float:
    """Carry `jobs` through plain Celery with one of POOLS or KEPT, and return the seconds it took."""
    with worker(running, pool=pool):
        return load(running, jobs)


def load(running: Running, jobs: int, *back_end: str) -> float:
    """Hand so many jobs to the worker that runs; return the seconds until all are complete."""
    command = [sys.executable, "-m", "benchmarks.peer.load", str(jobs), *back_end]
    done = subprocess.run(command, cwd=ROOT, env=_environment(running), check=True, stdout=subprocess.PIPE, timeout=300)
    return float(done.stdout)


@contextmanager
def worker(running: Running, *, pool: str) -> Iterator[None]:
    """A worker that has carried out its first tasks."""
    environment = _environment(running) | ({"PEER_KEEPS_CONNECTIONS": "1"} if pool == KEPT else {})
    command = ("celery", "-A", "benchmarks.peer.celery", "worker", "--loglevel", "WARNING", *_OPTIONS[pool])
    with stack.beside(*command, environment=environment):
        load(running, 10)
        yield


@contextmanager
def web(running: Running) -> Iterator[str]:
    """The API on granian, with as many processes and threads as Waybill's own; yields its address."""
    port = stack.free_port()
    command = ("granian", "--interface", "wsgi", "--workers", "1", "--blocking-threads", "8", "--log-level", "warning")
    place = ("--host", "127.0.0.1", "--port", str(port), "benchmarks.peer.wsgi:application")
    with stack.beside(*command, *place, environment=_environment(running) | {"PEER_SERVES_HTTP": "1"}):
        stack.wait_until_open(port)
        yield f"http://127.0.0.1:{port}"


def open_jobs(running: Running) -> int:
    """Count what is not complete yet."""
    with psycopg.connect(_own_database(running.database_url)) as connection:
        row = connection.execute("SELECT count(*) FROM peer_job WHERE status <> 'complete'").fetchone()
        return int(row[0])


def _environment(running: Running) -> dict[str, str]:
    return {
        **os.environ,
        "PEER_DATABASE_URL": _own_database(running.database_url),
        "PEER_BROKER_URL": running.broker_url.rsplit("/", 1)[0] + "/9",
        "DJANGO_SETTINGS_MODULE": "benchmarks.peer.settings",
    }


def _own_database(database_url: str) -> str:
    with psycopg.connect(database_url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'peer'").fetchone():
            connection.execute("CREATE DATABASE peer")
    return database_url.rsplit("/", 1)[0] + "/peer"
