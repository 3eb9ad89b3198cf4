"""The OpenAPI document against a real stack: schemathesis plays its clients, with good and bad data, and in sequences.

It looks at every answer: no 5xx, no status, header or body that the document doesn't tell of, nothing accepted that it
forbids, nothing refused that it allows. What it may not expect is in `schemathesis.toml`.

Cases an operation: WAYBILL_SCHEMA_CASES, besides the boundaries of every field; by default few, a hundred in CI.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.embedded import processes
from tests import servers
from tests.acceptance import stacks

pytestmark = pytest.mark.timeout(900)

CONFIG = Path(__file__).with_name("schemathesis.toml")
PROGRAM = stacks.ROOT / ".venv" / "bin" / "schemathesis"
IN_CI = bool(os.environ.get(servers.NO_SKIPS) or os.environ.get("CI"))
CASES = os.environ.get("WAYBILL_SCHEMA_CASES", "100" if IN_CI else "20")
ROUNDS = 4 if IN_CI else 2
TESTED = re.compile(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)")


@pytest.fixture(scope="module")
def stack() -> Iterator[stacks.Stack]:
    with stacks.new_home() as home:
        running = stacks.ready(home, port=processes.free_port())
        try:
            yield running
        finally:
            running.stop()


def test_every_operation_answers_as_the_schema_tells(stack: stacks.Stack, tmp_path: Path) -> None:
    done = run(stack, phases="examples,coverage,fuzzing", directory=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    [counts] = TESTED.findall(done.stdout)
    assert len(set(counts)) == 1, done.stdout


@pytest.mark.parametrize("_round", range(ROUNDS))  # one round gives up early when its sequences repeat themselves
def test_what_leads_from_one_operation_to_the_next_does(stack: stacks.Stack, tmp_path: Path, _round: int) -> None:
    done = run(stack, phases="stateful", directory=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr


def run(stack: stacks.Stack, *, phases: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run schemathesis over all that the stack tells of itself; what it prints names its seed."""
    address = f"http://127.0.0.1:{stack.port}/api/schema"
    given = {"PATH": os.environ["PATH"], "HOME": str(directory), "WAYBILL_POLL_COOKIE": a_task(stack)}
    return subprocess.run(
        [PROGRAM, "--config-file", CONFIG, "run", address, "--phases", phases, "-n", CASES],
        cwd=directory,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )


def a_task(stack: stacks.Stack) -> str:
    """The cookie of a task, for the poll: no answer's body tells it."""
    answer = stack.call(
        "POST",
        "/native-app/CS700100A/startup",
        headers={"Accept": "application/vnd.hmrc.1.0+json"},
        json={"request": [{"serviceName": "deskpro-feedback", "postRequest": {"message": "The map is wrong"}}]},
    )
    return answer.cookies["mdtpapi"]
