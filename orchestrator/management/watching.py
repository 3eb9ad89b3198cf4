"""What `manage.py top` shows: lanes, workers and rates, drawn for a terminal.

In: the live figures of `board.py` and `trends.py`, which the dashboard shows too. Out: something that rich can draw.
Called by `commands/top.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator import amounts, board, breakers, standing, trends
from orchestrator.board import Count, LaneNow, WorkerNow
from orchestrator.breakers import BreakerState
from orchestrator.standing import LaneStanding, WorkerStanding
from orchestrator.trends import Rate, Rates

_NONE = "-"
_COLOURS: dict[LaneStanding | WorkerStanding, str] = {  # green, unless told
    LaneStanding.PAUSED: "yellow",
    LaneStanding.BROKEN: "red",
    LaneStanding.HELD: "yellow",
    WorkerStanding.SILENT: "red",
    WorkerStanding.DRAINING: "yellow",
    WorkerStanding.DRAINED: "yellow",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """One look."""

    at: datetime
    lanes: Sequence[LaneNow]
    workers: Sequence[WorkerNow]
    rates: Rates
    breakers: dict[str, BreakerState]


def read() -> Figures:
    """Look at the ledger: a handful of statements, none of which counts a table."""
    return Figures(
        at=datetime.now(UTC),
        lanes=board.read_lanes(),
        workers=board.read_workers(),
        rates=trends.read_rates(),
        breakers={state.lane: state for state in breakers.states()},
    )


def draw(figures: Figures) -> RenderableType:
    """Draw one look."""
    whole = figures.rates.whole
    workers = amounts.tell(sum(worker.is_alive for worker in figures.workers), "worker")
    head = Text.assemble(
        ("Waybill ", "bold"),
        f"{figures.at:%H:%M:%S} UTC · {workers} · {_number(whole.a_minute)} done a minute · ",
        f"{_share(whole.failure_rate)} failed",
    )
    return Group(head, "", _lanes(figures), "", _workers(figures.workers))


def _lanes(figures: Figures) -> RenderableType:
    table = _table("lane", "state", "queued", "retrying", "oldest", "running", "a minute", "failed", "p50", "p95")
    for lane in figures.lanes:
        rate = figures.rates.lanes.get(lane.name) or Rate()
        table.add_row(
            lane.name,
            _paint(standing.of_lane(lane, figures.breakers.get(lane.name))),
            _count(lane.queued),
            _count(lane.retrying),
            _seconds(lane.oldest),
            f"{lane.processing:,}",
            _number(rate.a_minute),
            _share(rate.failure_rate),
            _seconds(rate.quantile(0.5)),
            _seconds(rate.quantile(0.95)),
        )
    return table if figures.lanes else Text("No lane yet: one comes with its first message.", "dim")


def _workers(workers: Sequence[WorkerNow]) -> RenderableType:
    table = _table("worker", "state", "holds", "heartbeat", "up", "queues", text=("worker", "state", "holds", "queues"))
    for worker in workers:
        held = ", ".join(f"{lane} {number:,}" for lane, number in sorted(worker.holds.items()))
        table.add_row(
            f"{worker.host}:{worker.pid}",
            _paint(standing.of_worker(worker)),
            held or _NONE,
            _seconds(worker.silent),
            _seconds((datetime.now(UTC) - worker.started_at).total_seconds()),
            ", ".join(worker.queues),
        )
    return table if workers else Text("No worker is running: nothing is carried out.", "bold red")


def _table(*columns: str, text: Sequence[str] = ("lane", "state")) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, justify="left" if column in text else "right", no_wrap=True)
    return table


def _paint(state: LaneStanding | WorkerStanding) -> Text:
    return Text(state, _COLOURS.get(state, "green"))


def _count(count: Count) -> str:
    return f"{count.number:,}{'+' if count.at_least else ''}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or not value else f"{value:.1f}"


def _share(value: float | None) -> str:
    return _NONE if value is None else f"{100 * value:.1f} %"


def _seconds(value: float | None) -> str:
    """Print a time in the unit that says most: 0.03 s, 45 s, 3 min, 2 h."""
    if value is None:
        return _NONE
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if value >= 2 * size:
            return f"{value / size:.0f} {unit}"
    return f"{value:.0f} s" if value >= 10 else f"{value:.2g} s"
