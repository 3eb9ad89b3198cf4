"""What keeps `make up` from starting is told in one clear line."""

import socket
from pathlib import Path

import pytest

from config.embedded import home as homes
from config.embedded import processes
from tests.acceptance import stacks
from tests.reach import within_reach

pytestmark = pytest.mark.timeout(120)


def test_a_port_in_use(home: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # which a second granian would share silently
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]

        told = stacks.refused(home, port=port)

    assert told == f"waybill: port {port} is in use: choose another, as in `make up PORT={port + 1}`"


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1"])
def test_a_port_that_is_none(home: Path, port: str) -> None:
    told = stacks.refused(home, port=port)

    assert told == f"waybill: PORT must be a number from 1 to 65535, not '{port}'"


def test_a_home_that_is_a_file(home: Path) -> None:
    home.write_text("not a home")

    told = stacks.refused(home, port=processes.free_port())

    assert told == f"waybill: can't use {home}: File exists"


def test_a_home_that_can_not_be_made(tmp_path: Path) -> None:
    told = stacks.refused(Path("/proc/home"), port=processes.free_port(), log=tmp_path / "out")

    assert told.startswith("waybill: can't use /proc/home: ")
    assert "\n" not in told


def test_a_home_with_broken_secrets(home: Path) -> None:
    home.mkdir()
    (home / "kept.json").write_text("{")

    told = stacks.refused(home, port=processes.free_port())

    assert told.startswith(f"waybill: {home}/kept.json is not what make up wrote: ")
    assert "\n" not in told


def test_a_home_that_another_stack_uses(home: Path) -> None:
    held = homes.Home(home)

    told = stacks.refused(home, port=processes.free_port())

    assert told.startswith(f"waybill: another stack is running in {held.directory} (process ")


@within_reach
def test_broken_data(home: Path) -> None:
    (home / "postgres" / "data").mkdir(parents=True)

    told = stacks.refused(home, port=processes.free_port()).splitlines()[-1]

    assert told.startswith("waybill: postgres does not start: ")
    assert f"{home}/logs/postgres.log" in told
