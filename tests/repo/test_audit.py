"""`make audit` says that all is well only when it has looked at everything."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
WELL = {"name": "amqp", "version": "5.4", "vulns": []}
WEAK = {"name": "vine", "version": "5.1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["5.2"]}]}
UNKNOWN = {"name": "celery", "skip_reason": "Dependency not found on PyPI and could not be audited: celery (5.7.0)"}


@pytest.mark.parametrize(
    ("packages", "code", "last"),
    [
        ([WELL], 0, "audited: 1 of 1 packages, 0 with known weaknesses"),
        ([WELL, WEAK], 1, "audited: 2 of 2 packages, 1 with known weaknesses"),
        ([WELL, UNKNOWN], 1, "audited: 1 of 2 packages, 0 with known weaknesses"),
        ([UNKNOWN], 1, "audited: 0 of 1 packages, 0 with known weaknesses"),
        ([], 1, "audited: 0 of 0 packages, 0 with known weaknesses"),
    ],
)
def test_only_what_was_looked_up_is_well(tmp_path: Path, packages: list[Any], code: int, last: str) -> None:
    done = audit(tmp_path, f"print({json.dumps({'dependencies': packages, 'fixes': []})!r})")

    assert (done.returncode, done.stdout.splitlines()[-1]) == (code, last)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    done = audit(tmp_path, f"print({json.dumps({'dependencies': [WEAK, UNKNOWN]})!r})")

    assert done.stdout.splitlines()[:-1] == [
        "vine 5.1: PYSEC-1 (mended in 5.2)",
        "not audited: Dependency not found on PyPI and could not be audited: celery (5.7.0)",
    ]


def test_an_index_that_is_away_is_no_all_clear(tmp_path: Path) -> None:
    done = audit(tmp_path, "import sys; sys.exit('ERROR: the index is away')")

    assert (done.returncode, done.stdout.splitlines()) == (2, ["ERROR: the index is away", "audited: nothing"])


def audit(place: Path, program: str) -> "subprocess.CompletedProcess[str]":
    """Run it with a stand-in for pip-audit, which would ask the network."""
    (place / "pip_audit.py").write_text(program)
    return subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "audit.py")],
        env={**os.environ, "PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
