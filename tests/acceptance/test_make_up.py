"""`make up`, from the first start to the second."""

import json
import signal
from pathlib import Path

import pytest

from config.embedded import processes
from tests.acceptance import stacks
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)


def test_a_visitor_starts_it_tries_it_stops_it_and_finds_it_all_again(home: Path) -> None:
    port = processes.free_port()

    first = stacks.ready(home, port=port)
    try:
        echoed = first.carry_out("Echo", hello="world")
        retried = first.carry_out("Vehicle", sandbox={"status": 503, "times": 1})
        rejected = first.carry_out("deskpro-feedback", sandbox={"status": 422, "detail": "No such desk."})
        request_id = first.submit("Echo")
        said = stacks.printed(home)
    finally:
        seconds = first.stop()

    assert echoed["messageStatus"] == "Complete"
    assert retried["messageStatus"] == "Complete"
    assert rejected["messageStatus"] == "Failed"
    assert rejected["errors"] == [{"errorMessage": "No such desk."}]
    assert f"http://127.0.0.1:{port}/api/docs" in said
    assert said.count("curl ") == 3
    assert seconds < 15

    second = stacks.ready(home, port=port)
    try:
        kept = eventually(lambda: second.message(str(request_id)), what="the message of the first start")
    finally:
        second.stop(signal.SIGINT, group=True)
    assert kept["messageStatus"] == "Complete"


def test_an_operators_change_survives_a_restart_and_the_sandbox_is_followed_to_a_new_port(home: Path) -> None:
    first = stacks.ready(home, port=processes.free_port())
    stacks.manage(home, "backend", "Customer", "--url", "http://127.0.0.1:9/mine", "--attempts", "1")
    first.stop()
    kept = home / "kept.json"
    moved = processes.free_port()
    sandbox = json.loads(kept.read_text())["sandbox_port"]
    kept.write_text(kept.read_text().replace(f'"sandbox_port": {sandbox}', f'"sandbox_port": {moved}'))

    second = stacks.ready(home, port=processes.free_port())
    try:
        vehicle = second.carry_out("Vehicle")
        customer = second.carry_out("Customer")
    finally:
        second.stop()

    assert vehicle["messageStatus"] == "Complete"
    assert customer["messageStatus"] == "Failed"


def test_two_homes_run_side_by_side(home: Path) -> None:
    one = stacks.ready(home, port=processes.free_port())
    try:
        other = stacks.ready(home.with_name("other"), port=processes.free_port())
        try:
            request_id = one.submit("Echo")
            assert request_id
            eventually(lambda: one.message(request_id), what="its end in its own stack")
            assert other.message(request_id) is None
            assert other.carry_out("Echo")["messageStatus"] == "Complete"
        finally:
            other.stop()
        assert one.is_ready()
    finally:
        one.stop()


def test_a_second_signal_changes_nothing(home: Path) -> None:
    stack = stacks.ready(home, port=processes.free_port(), environment={"WAYBILL_GRACE": "1"})
    stack.submit("Vehicle", sandbox={"delay": 60})

    stack.make.send_signal(signal.SIGTERM)
    stack.stop(signal.SIGINT, group=True)


def test_a_signal_while_it_starts_stops_it_as_well(home: Path) -> None:
    stack = stacks.Stack(make=stacks.start(home, port=processes.free_port()), home=home, port=0)
    eventually(lambda: stack.pid_of("postgres"), within=60, what="the start of PostgreSQL")

    stack.stop()

    assert "is ready" not in stacks.printed(home)


def test_after_a_kill_of_the_supervisor_the_next_start_finds_everything_free(home: Path) -> None:
    port = processes.free_port()
    first = stacks.ready(home, port=port)
    for process in first.processes():
        if "config.embedded" in process.cmdline():
            process.kill()
    first.make.wait(timeout=10)

    second = stacks.ready(home, port=port)
    try:
        assert second.carry_out("Echo")["messageStatus"] == "Complete"
    finally:
        second.stop()


def test_commands_join_the_stack_and_its_secrets_are_its_owners(home: Path) -> None:
    stack = stacks.ready(home, port=processes.free_port())
    try:
        stacks.manage(home, "client", "another", "--secret", "another-secret")
        answer = stack.call("POST", "/api/v1/tracking", json={}, auth=("another", "another-secret"))
        assert answer.status_code == 200
        assert (home / "stack.env").stat().st_mode & 0o777 == 0o600
        assert (home / "kept.json").stat().st_mode & 0o777 == 0o600
    finally:
        stack.stop()


def test_given_a_database_it_makes_no_demo_client_there(home: Path) -> None:
    stack = stacks.ready(home, port=processes.free_port(), environment={"DATABASE_URL": stacks.external_database()})
    try:
        answer = stack.call("POST", "/api/v1/tracking", json={})
        commands = [" ".join(process.cmdline()) for process in stack.processes()]
    finally:
        stack.stop()

    assert answer.status_code == 401
    assert not [command for command in commands if "bin/postgres" in command or "sandbox" in command]
