"""PostgreSQL from the wheel: where it lives, and that it comes back."""

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config.embedded import postgres, processes
from tests import servers
from tests.reach import within_reach

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")


@pytest.fixture
def reachable() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="waybill-test-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def spare() -> Iterator[Path]:
    directory = Path("/var/lib/waybill") / f"test-{uuid.uuid4().hex}"
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def serve(place: postgres.Place, directory: Path, port: int) -> processes.Child:
    child = postgres.start(place, port=port, log=directory / "postgres.log", durable=False)
    processes.wait_until(
        lambda: postgres.answers(password=servers.PASSWORD, port=port), what="PostgreSQL", within=30, child=child
    )
    return child


def test_data_survives_a_kill_and_what_the_dead_server_left_is_ended(reachable: Path) -> None:
    place = postgres.find_place(reachable, spare=reachable / "spare")
    port = processes.free_port()
    address = postgres.url(password=servers.PASSWORD, port=port)
    assert postgres.initialise(place, password=servers.PASSWORD, durable=False)
    child = serve(place, reachable, port)
    postgres.create_database(password=servers.PASSWORD, port=port)
    busy = psycopg.connect(address, autocommit=True)
    busy.execute("CREATE TABLE kept AS SELECT 1 AS one")
    busy.execute("CHECKPOINT")
    backend = busy.info.backend_pid
    os.kill(backend, signal.SIGSTOP)  # it can't notice that its server is gone, and holds the shared memory

    child.process.kill()
    child.process.wait()
    child = serve(place, reachable, port)

    try:
        with psycopg.connect(address) as connection:
            assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
        assert not Path(f"/proc/{backend}").exists() or "Z" in Path(f"/proc/{backend}/stat").read_text()
        assert not postgres.initialise(place, password=servers.PASSWORD)
    finally:
        busy.close()
        child.stop(within=10)


def test_the_password_is_asked_for_and_only_loopback_is_listened_on(reachable: Path) -> None:
    place = postgres.find_place(reachable, spare=reachable / "spare")
    port = processes.free_port()
    postgres.initialise(place, password=servers.PASSWORD, durable=False)
    child = serve(place, reachable, port)

    try:
        assert not postgres.answers(password="another", port=port)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=str(place.sockets), port=port, user=postgres.USER, password="", dbname="postgres")
        with psycopg.connect(postgres.url(password=servers.PASSWORD, port=port, database="postgres")) as connection:
            listening = connection.execute("SELECT current_setting('listen_addresses')").fetchone()
        assert listening == ("127.0.0.1",)
    finally:
        child.stop(within=10)


@within_reach
def test_what_an_interrupted_initdb_left_is_made_anew(reachable: Path) -> None:
    place = postgres.find_place(reachable, spare=reachable / "spare")
    (reachable / "data.new").mkdir()
    (reachable / "data.new" / "PG_VERSION").write_text("18\n")

    assert postgres.initialise(place, password=servers.PASSWORD, durable=False)

    assert (place.data / "postgresql.conf").exists()
    assert not (reachable / "data.new").exists()


@as_root
def test_a_home_out_of_its_users_reach_is_left_alone_and_data_live_in_the_spare(tmp_path: Path, spare: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    place = postgres.find_place(closed / "postgres", spare=spare)
    postgres.initialise(place, password=servers.PASSWORD, durable=False)
    child = serve(place, tmp_path, processes.free_port())
    child.stop(within=10)

    assert place.data == spare / "data"
    assert place.install.is_relative_to(spare)
    assert closed.stat().st_mode & 0o777 == 0o700
    assert postgres.find_place(closed / "postgres", spare=spare).data == place.data


@as_root
@within_reach
def test_a_home_within_reach_is_used_with_the_wheels_own_binaries(reachable: Path, spare: Path) -> None:
    place = postgres.find_place(reachable, spare=spare)

    assert place.data == reachable / "data"
    assert place.user is not None
    assert place.user.pw_name == "nobody"
    assert not spare.exists()
