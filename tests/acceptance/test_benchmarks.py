"""`make bench` itself works: every part in its short form, with its peers. What it measures is not judged here."""

import os
import subprocess
import sys

import pytest

from benchmarks import parts
from benchmarks.figures import Figure
from tests.acceptance.stacks import ROOT

pytestmark = pytest.mark.timeout(900)

LIKE_ANOTHER = {"S2"}
"""Parts that are another's code with other messages."""


def bench(**asked: str) -> subprocess.CompletedProcess[str]:
    """Run it with nothing of this test run's environment."""
    environment = {"PATH": os.environ["PATH"], "SHORT": "1", **asked}
    return subprocess.run(
        [sys.executable, "-m", "benchmarks"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_every_part_prints_its_figures() -> None:
    wanted = set(parts.ALL) - LIKE_ANOTHER

    done = bench(ONLY=",".join(wanted))

    assert done.returncode == 0, done.stderr
    rows = {line.split()[1] for line in done.stdout.splitlines() if line.startswith(("│ P", "│ S"))}
    assert rows == wanted


def test_an_unknown_part_is_named() -> None:
    done = bench(ONLY="P1,P99")

    assert done.returncode == 1
    assert "there is no such part: P99" in done.stderr


def test_the_parts_about_scale_run_only_when_they_are_asked_for() -> None:
    assert set(parts.choose("")) == set(parts.PARTS)
    assert set(parts.choose("SCALE")) == set(parts.SCALE_PARTS)
    assert list(parts.choose("P10, P2")) == ["P2", "P10"]


@pytest.mark.parametrize(
    ("ratio", "target", "met"),
    [(30.0, "≥ 30", True), (29.9, "≥ 30", False), (1.2, "≤ 1.2", True), (1.3, "≤ 1.2", False), (5.0, "", None)],
)
def test_a_target_is_met_or_missed(ratio: float, target: str, met: bool | None) -> None:
    assert Figure("P1", "work", 1.0, "s", ratio, target).met is met
