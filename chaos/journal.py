"""The journal of a run: one JSON object a line, each with its kind, so that everything can be checked afterwards.

In: what clients saw and what the monkey did, as it happens. Out: `journal.jsonl`. Called by clients, readers, monkey.
All of a run's times are seconds of one clock, this machine's.
"""

import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any


class Journal:
    """Appends; a line is written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def note(self, kind: str, **fields: Any) -> None:
        self._file.write(json.dumps({"kind": kind, **fields}) + "\n")

    def close(self) -> None:
        self._file.close()


def now() -> float:
    return time.time()


def read(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file, none if it was never written; a line that was cut off is left out."""
    lines = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def read_by_kind(path: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in read(path):
        found[line["kind"]].append(line)
    return found
