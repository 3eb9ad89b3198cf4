"""The parts of the benchmark: what is measured, beside what, and which ratio is aimed at."""

from benchmarks import (
    bulk,
    claims,
    dashboard,
    events,
    fairness,
    following,
    growth,
    memory,
    pinned,
    reads,
    scale,
    searches,
    singles,
    slow_calls,
)
from benchmarks.figures import Part

PARTS: dict[str, Part] = {
    "P1": bulk.many_in_bulk,
    "P2": singles.many_singles,
    "P3": singles.one_single,
    "P4": reads.finished_requests,
    "P5": slow_calls.one_process,
    "P6": fairness.behind_a_backlog,
    "P7": events.long_feed,
    "P8": searches.large_ledger,
    "P9": memory.worker_size,
    "P10": claims.deep_queue,
}
"""What `make bench` runs."""

SCALE = "SCALE"
SCALE_PARTS: dict[str, Part] = {
    "S1": scale.plain_messages,
    "S2": scale.back_end_calls,
    "S3": pinned.behind_an_idle_transaction,
    "S4": growth.after_many_messages,
    "S5": dashboard.with_many_messages,
}
"""What `make bench ONLY=SCALE` runs: no targets, but what docs/scaling.md is written from."""

MORE_PARTS: dict[str, Part] = {"SSE": following.many_waiting}
"""What runs when it is named: `make bench ONLY=SSE`."""

ALL = PARTS | SCALE_PARTS | MORE_PARTS

SECONDS = dict.fromkeys(ALL, 600) | {"P2": 1200, "SSE": 1200, "S3": 1500, "S4": 1500}
"""What each may take at most on a slow machine; then it is broken off."""
SECONDS_SHORT = 300


class UnknownPart(Exception):
    """There is no such part."""


def choose(only: str) -> dict[str, Part]:
    """Return the parts that ONLY names. Raises UnknownPart."""
    names = {name.strip() for name in only.split(",") if name.strip()}
    if unknown := names - {*ALL, SCALE}:
        raise UnknownPart(f"there is no such part: {', '.join(sorted(unknown))}; there are {', '.join([*ALL, SCALE])}")
    if SCALE in names:
        names |= set(SCALE_PARTS)
    return {name: part for name, part in ALL.items() if name in (names or PARTS)}
