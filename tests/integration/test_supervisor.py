"""The supervisor of `make up`, with small parts."""

import functools
import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from config.embedded import processes, supervisor
from tests.waiting import eventually


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def boss(said: list[str]) -> Iterator[supervisor.Supervisor]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    boss = supervisor.Supervisor(said.append)
    yield boss
    boss.stop(within=0, foundation_within=0)
    for number, handler in before.items():
        signal.signal(number, handler)


def part(directory: Path, script: str, *, name: str = "part", foundation: bool = False) -> supervisor.Part:
    log = directory / f"{name}.log"
    return supervisor.Part(
        name=name,
        log=log,
        start=lambda: processes.start(["/bin/sh", "-c", script], environment=os.environ, log=log, directory=directory),
        foundation=foundation,
    )


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_a_part_that_dies_is_started_again(boss: supervisor.Supervisor, said: list[str], tmp_path: Path) -> None:
    child = boss.begin(part(tmp_path, "echo begun; exec sleep 1000"))

    boss.wait_until(lambda: len(lines(tmp_path / "part.log")) == 1, what="the first", within=10)
    child.process.kill()
    boss.wait_until(lambda: len(lines(tmp_path / "part.log")) == 2, what="the second", within=10)

    assert said == ["part ended (killed by SIGKILL); starting it again"]


def test_what_a_dead_part_left_in_its_group_is_ended_first(boss: supervisor.Supervisor, tmp_path: Path) -> None:
    child = boss.begin(part(tmp_path, "sleep 1000 & echo $!; exec sleep 1000"))
    boss.wait_until(lambda: len(lines(tmp_path / "part.log")) == 1, what="the first", within=10)
    orphan = psutil.Process(int(lines(tmp_path / "part.log")[0]))

    child.process.kill()
    boss.wait_until(lambda: len(lines(tmp_path / "part.log")) == 2, what="the second", within=10)

    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


def test_a_part_that_keeps_dying_is_told_with_its_last_words(boss: supervisor.Supervisor, tmp_path: Path) -> None:
    boss.begin(part(tmp_path, "echo 'ValueError: no such thing'; echo bye; exit 3"))

    with pytest.raises(
        supervisor.CannotStart, match=r"^part does not start: ValueError: no such thing \(all of it: .*"
    ):
        boss.wait_until(lambda: False, what="it", within=30)


def test_the_waits_between_two_starts_grow(boss: supervisor.Supervisor, tmp_path: Path) -> None:
    boss.begin(part(tmp_path, "date +%s.%N; exit 3"))

    with pytest.raises(supervisor.CannotStart):
        boss.wait_until(lambda: False, what="it", within=30)

    starts = [float(line) for line in lines(tmp_path / "part.log")]
    waits = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert waits == sorted(waits)
    assert waits[-1] > 2 * waits[0]


def test_a_part_that_is_run_once_is_waited_for(boss: supervisor.Supervisor, tmp_path: Path) -> None:
    boss.run_to_end(part(tmp_path, "echo done"), within=10)

    assert lines(tmp_path / "part.log") == ["done"]


def test_a_part_that_is_run_once_and_fails_keeps_the_stack_from_starting(
    boss: supervisor.Supervisor, tmp_path: Path
) -> None:
    with pytest.raises(supervisor.CannotStart, match="part does not start: no table"):
        boss.run_to_end(part(tmp_path, "echo no table; exit 1"), within=10)


def test_what_others_lean_on_is_stopped_last(boss: supervisor.Supervisor, tmp_path: Path) -> None:
    order = tmp_path / "order"
    script = "trap 'sleep 0.3; echo {name} >> order; exit' TERM; echo begun; while :; do sleep 0.05; done"
    boss.begin(part(tmp_path, script.format(name="database"), name="database", foundation=True))
    boss.begin(part(tmp_path, script.format(name="worker"), name="worker"))
    for name in ("database", "worker"):
        boss.wait_until(functools.partial(lines, tmp_path / f"{name}.log"), what=name, within=10)

    boss.stop(within=10, foundation_within=10)

    assert lines(order) == ["worker", "database"]


def test_what_does_not_stop_is_killed(boss: supervisor.Supervisor, tmp_path: Path) -> None:
    child = boss.begin(part(tmp_path, "trap '' TERM; echo begun; while :; do sleep 0.05; done"))
    boss.wait_until(lambda: bool(lines(tmp_path / "part.log")), what="it", within=10)

    began = time.monotonic()
    boss.stop(within=0.5, foundation_within=0.5)

    assert time.monotonic() - began < 5
    assert child.process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_watch_and_a_second_one_changes_nothing(
    boss: supervisor.Supervisor, tmp_path: Path, number: signal.Signals
) -> None:
    boss.begin(part(tmp_path, "exec sleep 1000"))

    def signal_twice() -> None:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)

    timer = threading.Timer(0.2, signal_twice)
    timer.start()
    boss.keep_running()
    timer.join()

    with pytest.raises(supervisor.StopAsked):
        boss.wait_until(lambda: False, what="it", within=10)


def test_marked_processes_are_found_and_ended(tmp_path: Path) -> None:
    mark = f"WAYBILL_STACK={tmp_path.name}"
    marked = processes.start(
        ["/bin/sleep", "1000"], environment=dict([mark.split("=")]), log=tmp_path / "log", directory=tmp_path
    )
    other = processes.start(
        ["/bin/sleep", "1000"], environment={"WAYBILL_STACK": "other"}, log=tmp_path / "log", directory=tmp_path
    )
    try:
        threading.Timer(0.3, marked.process.wait).start()  # a zombie keeps no environment, but let it be reaped
        supervisor.end_marked(mark)

        eventually(lambda: not marked.alive, what="the end of the marked one")
        assert other.alive
    finally:
        other.end()
