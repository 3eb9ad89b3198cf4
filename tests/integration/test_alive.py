"""The health checks of containers: each kind of process is found alive while it turns, and missed when it doesn't."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from config import healthy
from config.embedded import parts, processes
from tests.processes import ROOT, WorkerProcess, stack_environment
from tests.waiting import eventually


def look(role: str, **environment: str) -> tuple[int, str]:
    """Run the check as a container does."""
    done = subprocess.run(
        [sys.executable, "config/healthy.py"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "WAYBILL_ROLE": role, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr.strip()


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_turns_is_alive(tmp_path: Path, worker_process: Callable[..., WorkerProcess]) -> None:
    file = tmp_path / "alive"

    worker_process(WAYBILL_ALIVE_FILE=str(file))

    eventually(file.exists, what="the sign of life")
    assert look("worker", WAYBILL_ALIVE_FILE=str(file)) == (0, "")


@pytest.mark.django_db(transaction=True)
def test_a_beat_that_turns_is_alive(tmp_path: Path) -> None:
    file = tmp_path / "alive"

    beat = processes.start(
        [sys.executable, "-m", *parts.BEAT, "--schedule", str(tmp_path / "schedule")],
        environment=stack_environment(WAYBILL_ROLE="beat", WAYBILL_ALIVE_FILE=str(file)),
        log=tmp_path / "beat.log",
        directory=ROOT,
    )
    try:
        eventually(file.exists, within=30, what="the sign of life")
    finally:
        beat.end()

    assert look("beat", WAYBILL_ALIVE_FILE=str(file)) == (0, "")


def test_one_that_stood_still_for_two_minutes_is_not(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    file.touch()
    before = time.time() - healthy.SILENT_FOR - 5
    os.utime(file, (before, before))

    code, text = look("worker", WAYBILL_ALIVE_FILE=str(file))

    assert code == 1
    assert "old" in text


@pytest.mark.parametrize("file", ["", "/nowhere/alive"])
def test_without_a_sign_it_is_not_alive(file: str) -> None:
    code, text = look("worker", WAYBILL_ALIVE_FILE=file)

    assert code == 1
    assert text.count("\n") == 0
    assert text


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_web_server_is_asked_over_http(httpserver: HTTPServer, status: int, code: int) -> None:
    httpserver.expect_request("/livez").respond_with_data("", status=status)

    assert look("web", GRANIAN_PORT=str(httpserver.port))[0] == code
