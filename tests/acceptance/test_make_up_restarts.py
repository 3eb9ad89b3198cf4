"""A part of `make up` that is killed comes back by itself, and the system with it."""

import functools
import os
import signal
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

    eventually(lambda: (stack.pid_of(part) or before) != before, within=30, what=f"a new {part}")
    eventually(stack.is_ready, within=30, what="readiness")
    assert stack.carry_out("Echo", within=60)["messageStatus"] == "Complete"
    assert stack.carry_out("Vehicle", within=60)["messageStatus"] == "Complete"


def test_a_killed_child_of_the_web_server_comes_back(stack: stacks.Stack) -> None:
    main = eventually(lambda: stack.pid_of("web"), what="a running web server")
    children = [process for process in stack.processes() if process.ppid() == main]
    assert children

    for child in children:
        child.kill()

    eventually(lambda: (stack.pid_of("web") or main) != main, within=30, what="a new web server")
    eventually(stack.is_ready, within=30, what="readiness")


def test_the_stack_keeps_its_addresses(stack: stacks.Stack) -> None:
    environment = (stack.home / "stack.env").read_text()
    postgres = eventually(lambda: stack.pid_of("postgres"), what="a running PostgreSQL")

    os.kill(postgres, signal.SIGKILL)
    eventually(lambda: (stack.pid_of("postgres") or postgres) != postgres, within=30, what="a new PostgreSQL")

    assert (stack.home / "stack.env").read_text() == environment


def test_workers_and_beat_have_celery_in_their_command_line(stack: stacks.Stack) -> None:
    for part in ("worker-1", "worker-2", "beat"):
        pid = eventually(functools.partial(stack.pid_of, part), what=f"a running {part}")
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        assert b"celery" in command
