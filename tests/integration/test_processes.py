"""Child processes: ended whole, and never longer alive than whoever started them."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from config.embedded import processes
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parent.parent.parent
STARTER = """
import os, sys, time
from pathlib import Path
from config.embedded import processes
here = Path(sys.argv[1])
child = processes.start(["/bin/sleep", "1000"], environment={}, log=here / "log", directory=here)
print(child.process.pid, flush=True)
time.sleep(1000)
"""


def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()

    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, what="the end of the child")


def test_a_child_has_a_session_of_its_own_and_its_output_in_its_log(tmp_path: Path) -> None:
    child = processes.start(
        ["/bin/sh", "-c", "echo out; echo err >&2; exec sleep 1000"],
        environment={},
        log=tmp_path / "log",
        directory=tmp_path,
    )
    try:
        eventually(lambda: (tmp_path / "log").read_text() == "out\nerr\n", what="its output")
        assert os.getsid(child.process.pid) == child.process.pid
    finally:
        child.stop(within=5)
    assert child.process.returncode == -signal.SIGTERM


def test_whatever_works_in_a_directory_can_be_ended(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    command = ["/bin/sleep", "1000"]
    one = processes.start(command, environment={}, log=tmp_path / "log", directory=inside)
    other = processes.start(command, environment={}, log=tmp_path / "log", directory=outside)
    try:
        processes.end_by_directory(inside, user=None)

        eventually(lambda: not one.alive, what="the end of the one inside")
        assert other.alive
    finally:
        other.end()


def test_a_wait_ends_when_the_child_does(tmp_path: Path) -> None:
    child = processes.start(["/bin/false"], environment={}, log=tmp_path / "log", directory=tmp_path)

    with pytest.raises(processes.NeverReady, match=r"^it ended with code 1$"):
        processes.wait_until(lambda: False, what="it", within=30, child=child)


def test_a_port_is_not_free_even_where_it_would_be_shared() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()

        assert not processes.port_is_free(other.getsockname()[1])


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("Traceback\n  File\nValueError: bad\n[ERROR] the child ended\n", "ValueError: bad"),
        ("LOG: x\nFATAL: No space left on device\nPANIC: all is lost\n", "FATAL: No space left on device"),
        (
            "FATAL: wrote only 4096 of 8192 bytes\nHINT: Check free disk space.\nPANIC: x\n",
            "HINT: Check free disk space.",
        ),
        ("initdb: error: no\ninitdb: removing contents\n", "initdb: error: no"),
        ("one\ntwo\n\n", "two"),
        ("", "it said nothing"),
    ],
)
def test_the_line_that_tells_why_is_found(output: str, line: str) -> None:
    assert processes.telling_line(output) == line
