"""A part of `make up` that is killed comes back by itself, and the system with it."""

import functools
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.embedded import processes
from tests.acceptance import stacks
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def stack() -> Iterator[stacks.Stack]:
    with stacks.new_home() as home:
        running = stacks.ready(home, port=processes.free_port())
        try:
            yield running
            running.stop()
        finally:
            running.kill()


@pytest.mark.parametrize("part", list(stacks.PATTERNS))
def test_a_killed_part_comes_back_with_the_system(stack: stacks.Stack, part: str) -> None:
    before = eventually(lambda: stack.pid_of(part), what=f"a running {part}")

    os.kill(before, signal.SIGKILL)

    eventually(lambda: stack.other_pid_of(part, before), within=30, what=f"a new {part}")
    eventually(stack.is_ready, within=30, what="readiness")
    assert stack.carry_out("Echo", within=60)["messageStatus"] == "Complete"
    assert stack.carry_out("Vehicle", within=60)["messageStatus"] == "Complete"


def test_a_killed_child_of_the_web_server_comes_back(stack: stacks.Stack) -> None:
    main = eventually(lambda: stack.pid_of("web"), what="a running web server")
    children = [process for process in stack.processes() if process.ppid() == main]
    assert children

    for child in children:
        child.kill()

    eventually(lambda: stack.other_pid_of("web", main), within=30, what="a new web server")
    eventually(stack.is_ready, within=30, what="readiness")


def test_a_closed_terminal_keeps_nothing_from_being_restarted() -> None:
    reader, writer = os.pipe()
    port = processes.free_port()
    with stacks.new_home() as home:
        make = subprocess.Popen(
            ["make", "up"], cwd=stacks.ROOT, env=stacks.bare_environment(home) | {"PORT": str(port)}, stdout=writer
        )
        os.close(writer)
        stack = stacks.Stack(make=make, home=home, port=port)
        try:
            eventually(stack.is_ready, within=stacks.START_WITHIN, what="readiness")
            os.close(reader)
            for _ in range(2):
                before = eventually(functools.partial(stack.pid_of, "beat"), within=30, what="a running beat")
                os.kill(before, signal.SIGKILL)
                eventually(functools.partial(stack.other_pid_of, "beat", before), within=30, what="a new beat")
            stack.stop()
        finally:
            stack.kill()


def test_the_stack_keeps_its_addresses(stack: stacks.Stack) -> None:
    environment = (stack.home / "stack.env").read_text()
    postgres = eventually(lambda: stack.pid_of("postgres"), what="a running PostgreSQL")

    os.kill(postgres, signal.SIGKILL)
    eventually(lambda: stack.other_pid_of("postgres", postgres), within=30, what="a new PostgreSQL")

    assert (stack.home / "stack.env").read_text() == environment


def test_workers_and_beat_have_celery_in_their_command_line(stack: stacks.Stack) -> None:
    for part in ("worker-1", "worker-2", "beat"):
        pid = eventually(functools.partial(stack.pid_of, part), what=f"a running {part}")
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        assert b"celery" in command
