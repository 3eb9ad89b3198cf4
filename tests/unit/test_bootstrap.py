"""The first step of every make target: a virtual environment from a lock."""

import sys
from pathlib import Path

import pytest

from config.embedded import bootstrap


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    for lock in ("requirements.lock", "requirements-test.lock"):
        (tmp_path / lock).write_text("django==5.2.0\n")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    return tmp_path


def test_what_is_installed_is_not_installed_again_until_the_lock_changes(checkout: Path) -> None:
    assert not bootstrap._is_installed("requirements.lock")

    bootstrap._stamp("requirements.lock").touch()
    assert bootstrap._is_installed("requirements.lock")
    assert not bootstrap._is_installed("requirements-test.lock")

    (checkout / "requirements.lock").write_text("django==5.2.1\n")
    assert not bootstrap._is_installed("requirements.lock")


def test_what_the_tests_need_serves_make_up_too(checkout: Path) -> None:
    bootstrap._stamp("requirements-test.lock").touch()

    assert bootstrap._is_installed("requirements.lock")


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_venv_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(
        bootstrap.CannotBuild, match=rf"^Python has no {module}: install Debian's package python3-venv$"
    ):
        bootstrap._check_python()


def test_a_python_that_is_too_old_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "LOWEST", (99, 0))

    with pytest.raises(bootstrap.CannotBuild, match=r"^Python 99\.0 or newer is needed, .* is 3\.\d+\.\d+"):
        bootstrap._check_python()


def test_a_command_that_fails_is_told_by_its_error() -> None:
    script = "print('ERROR: no matching distribution'); print('hint'); raise SystemExit(1)"

    with pytest.raises(bootstrap.CannotBuild, match=r"^installing failed: ERROR: no matching distribution$"):
        bootstrap._run("installing", [sys.executable, "-c", script])
