"""`make bench` itself works: every part in its short form, with its peers. What it measures is not judged here."""

import os
import subprocess
import sys

import pytest

from benchmarks import parts
from tests.acceptance.stacks import ROOT

pytestmark = pytest.mark.timeout(600)


def bench(**asked: str) -> subprocess.CompletedProcess[str]:
    """Run it with nothing of this test run's environment."""
    environment = {"PATH": os.environ["PATH"], "SHORT": "1", **asked}
    return subprocess.run(
        [sys.executable, "-m", "benchmarks"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_every_part_prints_its_figures() -> None:
    done = bench()

    assert done.returncode == 0, done.stderr
    rows = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("│ P")]
    assert set(rows) == set(parts.PARTS)


def test_an_unknown_part_is_named() -> None:
    done = bench(ONLY="P99")

    assert done.returncode == 1
    assert "there is no such part" in done.stderr
