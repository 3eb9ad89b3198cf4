"""`manage.py top`: the figures of the dashboard, in a terminal."""

import io
import os
import pty
import signal
import subprocess
import sys
import threading

import pytest
from django.core.management import call_command

from orchestrator.models import Lane, Worker
from tests import engine
from tests.processes import ROOT, stack_environment
from tests.waiting import eventually


def top() -> str:
    output = io.StringIO()
    call_command("top", "--once", stdout=output)
    return output.getvalue()


def row_of(text: str, name: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(name))


@pytest.mark.django_db
def test_shows_what_waits_what_runs_and_who_holds_it() -> None:
    engine.hand_in(client_id=1, payloads=[{}] * 5)
    Worker.objects.create(id=engine.WORKER, host="here", pid=4711, queues=["waybill"])
    engine.claim("Echo", limit=2)

    shown = top()

    assert row_of(shown, "Echo")[1:3] == ["working", "3"]
    assert "here:4711" in shown
    assert "working" in row_of(shown, "here:4711")
    assert "1 worker ·" in shown


@pytest.mark.django_db
def test_shows_lanes_that_give_nothing_and_workers_that_are_lost() -> None:
    engine.hand_in(client_id=1, payloads=[{}] * 2)
    Worker.objects.create(id=engine.WORKER, host="here", pid=4711, draining=True)
    Worker.objects.create(id="00000000-0000-7000-8000-000000000008", host="here", pid=4712, draining=True, resting=True)
    Worker.objects.create(id="00000000-0000-7000-8000-000000000009", host="there", pid=1)
    engine.run("UPDATE orchestrator_worker SET heartbeat_at = now() - interval '1 hour' WHERE host = 'there'")
    engine.claim("Echo", limit=1)
    Lane.objects.update(paused=True)

    shown = top()

    assert row_of(shown, "Echo")[1] == "paused"
    assert row_of(shown, "here:4711")[1] == "draining"
    assert row_of(shown, "here:4712")[1] == "drained"
    assert row_of(shown, "there:1")[1] == "silent"


@pytest.mark.django_db
def test_an_empty_ledger_says_so() -> None:
    shown = top()

    assert "No worker is running" in shown


@pytest.mark.django_db
def test_long_names_are_not_cut_for_scripts() -> None:
    name = "a-lane-with-a-name-that-is-rather-long-" + "x" * 60
    Lane.objects.create(name=name, queue="waybill")

    assert name in top()


@pytest.mark.django_db(transaction=True)
def test_in_a_terminal_it_keeps_looking_until_it_is_told_to_stop() -> None:
    engine.hand_in(client_id=1, lane="First")
    ours, theirs = pty.openpty()
    command = [sys.executable, "manage.py", "top", "--every", "0.2"]
    running = subprocess.Popen(
        command, cwd=ROOT, env=stack_environment(COLUMNS="160", LINES="40", TERM="xterm"), stdout=theirs, stderr=theirs
    )
    seen = bytearray()
    reader = threading.Thread(target=lambda: _read(ours, seen))
    reader.start()
    try:
        eventually(lambda: b"First" in seen, within=60, what=f"the first look {bytes(seen)!r}")

        engine.hand_in(client_id=1, lane="Second")

        eventually(lambda: b"Second" in seen, within=30, what="the lane that came meanwhile")
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
    finally:
        running.kill()
        os.close(theirs)
        reader.join(10)
        os.close(ours)
    assert b"Traceback" not in seen


def _read(terminal: int, seen: bytearray) -> None:
    try:
        while piece := os.read(terminal, 4096):
            seen.extend(piece)
    except OSError:
        return  # the other side is closed
