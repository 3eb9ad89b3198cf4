"""Run the peer: plain Celery + Django beside Waybill, on the same PostgreSQL server and broker."""

import os
import subprocess
import sys
import time

import psycopg

from benchmarks.stack import ROOT, Running

POOLS = {"prefork 2": ("-P", "prefork", "-c", "2"), "threads 8": ("-P", "threads", "-c", "8")}
KEPT = "threads 8, connections kept"
"""The pool of 8 threads with a setting that few know; shown beside the others, and not what the target speaks of."""


def carry_through(stack: Running, *, jobs: int, pool: str) -> float:
    """Carry `jobs` through plain Celery with one of POOLS or KEPT, and return the seconds it took."""
    environment = {
        **os.environ,
        "PEER_DATABASE_URL": _own_database(stack.database_url),
        "PEER_BROKER_URL": stack.broker_url.rsplit("/", 1)[0] + "/9",
        "DJANGO_SETTINGS_MODULE": "benchmarks.peer.settings",
        "PEER_KEEPS_CONNECTIONS": "1" if pool == KEPT else "",
    }
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.peer.celery", "worker", "--loglevel", "WARNING"]
    worker = subprocess.Popen(
        [*command, *POOLS[pool.partition(",")[0]]],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(4)  # it has no readiness to wait for; its start is not counted
        load = [sys.executable, "-m", "benchmarks.peer.load", str(jobs)]
        return float(subprocess.run(load, cwd=ROOT, env=environment, check=True, capture_output=True).stdout)
    finally:
        worker.terminate()
        worker.wait(60)


def _own_database(database_url: str) -> str:
    with psycopg.connect(database_url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'peer'").fetchone():
            connection.execute("CREATE DATABASE peer")
    return database_url.rsplit("/", 1)[0] + "/peer"
