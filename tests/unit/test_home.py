"""`$WAYBILL_HOME`: its lock, its secrets, its ports."""

import io
import socket
from pathlib import Path

import dotenv
import pytest

from config.embedded import home


def test_secrets_are_made_once_and_are_their_owners(tmp_path: Path) -> None:
    first = home.Home(tmp_path / "home").kept

    again = home.Home(tmp_path / "other").kept

    assert first.secret_key != again.secret_key
    assert first.id != again.id
    assert (tmp_path / "home" / "kept.json").stat().st_mode & 0o777 == 0o600


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    first = home.Home(tmp_path)
    first.keep(furnished_for="http://127.0.0.1:1")
    first.release()

    assert home.Home(tmp_path).kept == first.kept


def test_two_supervisors_never_share_a_home(tmp_path: Path) -> None:
    first = home.Home(tmp_path)

    with pytest.raises(home.BrokenHome, match=r"^another stack is running in .* \(process \d+\)$"):
        home.Home(tmp_path)

    first.release()


def test_ports_are_kept_unless_somebody_took_one(tmp_path: Path) -> None:
    mine = home.Home(tmp_path)
    before = mine.kept
    with socket.socket() as other:
        other.bind(("127.0.0.1", before.valkey_port))
        other.listen()

        mine.keep_free_ports()

    assert mine.kept.postgres_port == before.postgres_port
    assert mine.kept.valkey_port != before.valkey_port


@pytest.mark.parametrize("value", ["plain", "with 'quotes'", 'with "quotes"', "a#b $HOME ${HOME} \\ end", "ünï"])
def test_the_environment_for_commands_survives_being_written(tmp_path: Path, value: str) -> None:
    mine = home.Home(tmp_path)

    mine.write_stack({"SECRET_KEY": value})

    written = (tmp_path / "stack.env").read_text()
    assert dotenv.dotenv_values(stream=io.StringIO(written)) == {"SECRET_KEY": value}
    assert (tmp_path / "stack.env").stat().st_mode & 0o777 == 0o600


def test_a_log_that_has_grown_large_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "_ROTATE_LOG_AT", 3)
    mine = home.Home(tmp_path)
    mine.log("web").write_text("much")

    assert not mine.log("web").exists()
    assert (mine.logs / "web.log.1").read_text() == "much"
