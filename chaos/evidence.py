"""The evidence of a run: what clients saw, what the monkey did, what the back end saw, and the ledger at the end.

In: a run's directory. Out: one object with everything in it. Called by the promises' checks and the tally.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos import journal, ledger

Line = dict[str, Any]


@dataclass
class Evidence:
    """Everything that a run left behind. `patience`: seconds allowed on top where time itself is promised."""

    answers: list[Line] = field(default_factory=list)
    cancels: list[Line] = field(default_factory=list)
    steps: list[Line] = field(default_factory=list)
    seen: list[Line] = field(default_factory=list)
    feeds: list[Line] = field(default_factory=list)
    probes: list[Line] = field(default_factory=list)
    mischief: list[Line] = field(default_factory=list)
    stalls: list[Line] = field(default_factory=list)
    calls: list[Line] = field(default_factory=list)
    begun: list[Line] = field(default_factory=list)
    ledger: dict[str, list[Line]] = field(default_factory=dict)
    patience: float = 0.0

    def __post_init__(self) -> None:
        self.requests = {row["id"]: row for row in self.ledger.get("requests", [])}
        self.messages = {row["id"]: row for row in self.ledger.get("messages", [])}
        self.by_number = {f"{row['request']}#{row['number']}": row for row in self.messages.values()}
        self.of_request: dict[str, list[Line]] = defaultdict(list)
        for row in self.messages.values():
            self.of_request[row["request"]].append(row)

    def message(self, name: str) -> Line | None:
        """By its id, or by its request's id and its number."""
        return self.messages.get(name) or self.by_number.get(name)


def gather(directory: Path, *, patience: float = 0.0) -> Evidence:
    """Read what a run wrote."""
    lines = journal.read_by_kind(directory / "journal.jsonl")
    return Evidence(
        answers=lines["answer"],
        cancels=lines["cancel"],
        steps=lines["step"],
        seen=lines["seen"],
        feeds=lines["feed"],
        probes=lines["probe"],
        mischief=lines["mischief"],
        stalls=lines["stall"],
        calls=journal.read(directory / "calls.jsonl"),
        begun=journal.read(directory / "begun.jsonl"),
        ledger=ledger.read(directory / "ledger.json"),
        patience=patience,
    )
