"""How the house is kept: what a linter can't see."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = [
    path
    for room in ("config", "orchestrator", "tracking", "orders")
    for path in (ROOT / room).rglob("*.py")
    if path.parent.name != "migrations"  # written by Django
]
ATTICS = {"utils", "util", "common", "helpers", "misc", "base"}


def recipes() -> dict[str, list[str]]:
    """Makefile target → its recipe's lines."""
    found: dict[str, list[str]] = {}
    target = ""
    for line in (ROOT / "Makefile").read_text().splitlines():
        if heading := re.match(r"([a-z]+):", line):
            target = heading[1]
        elif line.startswith("\t"):
            found.setdefault(target, []).append(line.strip())
    return found


def test_no_file_has_outgrown_three_hundred_lines() -> None:
    written = [
        path for path in SOURCE if path.parent.name != "migrations"
    ]  # those are squashed until the first release

    assert [str(path) for path in written if len(path.read_text().splitlines()) > 300] == []


def test_there_is_no_attic() -> None:
    assert [str(path) for path in SOURCE if path.stem in ATTICS] == []


def test_no_todo_stands_without_an_issue_number() -> None:
    pattern = re.compile(r"\b(TODO|FIXME|XXX)\b(?!.*\d)")

    assert [str(path) for path in SOURCE if pattern.search(path.read_text())] == []


def test_every_recipe_is_one_plain_command() -> None:
    """A signal to `make` alone must reach the command itself, not a shell that runs it."""
    for target, lines in recipes().items():
        assert len(lines) == 1, target
        if target != "help":
            assert not re.search(r"[;|&]", lines[0]), target


def test_make_alone_prints_help() -> None:
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for target in ("up", "test", "check", "bench", "chaos", "audit", "clean"):
        assert f"make {target} " in printed


@pytest.mark.parametrize("script", [".ci/run"])
def test_scripts_can_be_run(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
