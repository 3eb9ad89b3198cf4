"""`make chaos` in its short form: everything is broken for a while, and every promise is kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos import promises
from tests.acceptance.stacks import ROOT

pytestmark = pytest.mark.timeout(1200)


def chaos(directory: Path, **asked: str) -> subprocess.CompletedProcess[str]:
    """Run it with nothing of this test run's environment."""
    environment = {"PATH": os.environ["PATH"], "KEEP": str(directory), **asked}
    return subprocess.run(
        [sys.executable, "-m", "chaos"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_a_short_run_breaks_a_lot_and_no_promise(tmp_path: Path) -> None:
    # Whoever shares this machine costs time, and of the promises only one is about time: PATIENCE is for that one.
    done = chaos(tmp_path, SECONDS="20", REST="0.3", DRAIN="600", PATIENCE="5")

    assert done.returncode == 0, done.stdout + done.stderr
    kept = [line.removeprefix("kept").strip() for line in done.stdout.splitlines() if line.startswith("kept")]
    assert kept == list(promises.PROMISES)
    tally = dict(line.split(None, 1) for line in done.stdout.splitlines() if line.strip())
    assert int(tally["messages"].partition(":")[0]) > 50
    assert int(tally["mischief"].partition(":")[0]) > 3
    again = chaos(tmp_path, CHECK=str(tmp_path))
    assert again.stdout.splitlines()[-1] == done.stdout.splitlines()[-1] == "violations    0"
