"""`manage.py` where nothing tells its settings, or one of them is malformed: a line, and no traceback."""

import os
import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT


def run(directory: Path, **environment: str) -> tuple[int, list[str]]:
    """Run a command from a directory with these variables alone, and return its status and what it complained of."""
    done = subprocess.run(
        [sys.executable, ROOT / "manage.py", "client", "acme"],
        cwd=directory,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


def test_without_a_stack_it_says_what_to_set(tmp_path: Path) -> None:
    status, lines = run(tmp_path, WAYBILL_HOME="nowhere")

    assert status == 1
    assert len(lines) == 1
    assert "SECRET_KEY" in lines[0]
    assert "WAYBILL_HOME" in lines[0]
    assert str(tmp_path / "nowhere") in lines[0]
    assert ".env.example" in lines[0]


def test_it_joins_the_stack_of_its_home_from_any_directory(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    told = {
        "SECRET_KEY": "k" * 50,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
        "BROKER_URL": "redis://127.0.0.1:1/0",
    }
    (home / "stack.env").write_text("".join(f"{name}={value}\n" for name, value in told.items()))

    status, lines = run(tmp_path, WAYBILL_HOME=str(home))

    assert status == 1
    assert "the ledger can't be reached" in lines[-1]
    assert "Traceback" not in "".join(lines)


def test_a_malformed_setting_is_told_in_a_line(tmp_path: Path) -> None:
    known = {
        "SECRET_KEY": "k" * 50,
        "DATABASE_URL": "postgresql://x@127.0.0.1:1/x",
        "BROKER_URL": "redis://127.0.0.1:1/0",
    }

    status, lines = run(tmp_path, WAYBILL_WEB_THREADS="many", **known)

    assert (status, len(lines)) == (1, 1)
    assert "WAYBILL_WEB_THREADS" in lines[0]
