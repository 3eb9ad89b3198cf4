"""The two locks: whole, hashed, and silent about where the packages came from."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LOCKS = ("requirements.lock", "requirements-test.lock")


def pins(lock: str) -> dict[str, str]:
    """Package → version."""
    return dict(re.findall(r"^([a-z0-9][a-z0-9.\-]*)(?:\[[^\]]*\])?==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=~!; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_has_hashes(lock: str) -> None:
    blocks = re.split(r"^(?=[a-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]

    assert len(blocks) >= len(pins(lock))  # a package may stand there once for each Python that wants another version
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_no_address_of_a_registry_is_in_it(lock: str) -> None:
    text = (ROOT / lock).read_text()

    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run = {name_of(requirement) for requirement in project["project"]["dependencies"]}
    test = {name_of(requirement) for requirement in project["dependency-groups"]["test"]}

    assert run - set(pins("requirements.lock")) == set()
    assert (run | test) - set(pins("requirements-test.lock")) == set()


def test_the_test_lock_holds_the_other_one_to_the_version() -> None:
    assert pins("requirements.lock").items() <= pins("requirements-test.lock").items()


def test_nothing_is_installed_that_rewrites_process_titles() -> None:
    assert "setproctitle" not in pins("requirements-test.lock")
