"""The consoles printed in the documentation, run for real: what a page shows is what a reader gets.

A ```console block holds commands (`$ …`, with indented continuation lines inside quotes) and their answers. Ids and
times differ from run to run: an id in an answer stands for the one that came, also in the commands that follow.
"""

import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_VARYING = (
    (_UUID, "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)"), "<time>"),
    (re.compile(r'(?<="ticket_id":) ?\d+'), "<ticket>"),
    (re.compile(r'(?<="duration":)\d+'), "<duration>"),
    (re.compile(r"(?<=^secret: )\S+", re.MULTILINE), "<secret>"),
)
_WITHIN = 15.0


@dataclass(frozen=True, slots=True)
class Step:
    """One command and the answer that the page prints below it."""

    command: str
    answer: str


def steps(page: Path) -> list[Step]:
    """Return a page's commands in order."""
    return [step for block in _BLOCK.findall(page.read_text()) for step in _steps(block)]


def _steps(block: str) -> list[Step]:
    """Split a block: a command goes on to the line that closes its last quote."""
    found: list[Step] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Step(line.removeprefix("$ "), ""))
        elif found[-1].command.count("'") % 2:
            found[-1] = Step(f"{found[-1].command}\n{line}", "")
        else:
            found[-1] = Step(found[-1].command, f"{found[-1].answer}{line}\n")
    return found


def run(page: Path, *, port: int, environment: Mapping[str, str], skip: tuple[str, ...] = ("make up",)) -> None:
    """Run a page's commands against the stack on `port`, and hold each answer against the printed one."""
    known: dict[str, str] = {}
    for step in steps(page):
        if step.command in skip:
            continue
        command = _with_known_ids(step.command, known).replace(":8000", f":{port}")
        came = _answer(command, step.answer, environment)
        known |= dict(zip(_UUID.findall(step.answer), _UUID.findall(came), strict=True))


def _with_known_ids(command: str, known: Mapping[str, str]) -> str:
    return _UUID.sub(lambda match: known.get(match[0], match[0]), command)


def _answer(command: str, printed: str, environment: Mapping[str, str]) -> str:
    """Run a command; one that only reads is run again until it answers as printed, because work takes its time."""
    deadline = time.monotonic() + _WITHIN
    while True:
        came = subprocess.run(
            ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        answer = came.stdout.rstrip("\n")
        if _comparable(answer) == _comparable(printed.rstrip("\n")):
            return answer
        if not _only_reads(command) or time.monotonic() > deadline:
            pytest.fail(f"$ {command}\n\nprinted:\n{printed}\ncame:\n{answer}\n{came.stderr}")
        time.sleep(0.1)


def _only_reads(command: str) -> bool:
    return command.startswith("curl") and (" -d " not in command or "/tracking" in command)


def _comparable(answer: str) -> str:
    for pattern, word in _VARYING:
        answer = pattern.sub(word, answer)
    return answer
