"""`make bench`: every part in one run on one PostgreSQL and one broker; a table of figures and ratios, and JSON.

`ONLY=P1,P4` runs those parts; `SHORT=1` runs a small amount of work and keeps no figures: it shows that the benchmarks
themselves work.
"""

import json
import os
import platform
import signal
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import parts, stack
from benchmarks.figures import Figure

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run the parts asked for."""
    only, short = os.environ.get("ONLY", ""), bool(os.environ.get("SHORT"))
    wanted = {name: part for name, part in parts.PARTS.items() if not only or name in only.split(",")}
    if not wanted:
        sys.exit(f"ONLY={only}: there is no such part; there are {', '.join(parts.PARTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    figures: list[Figure] = []
    with stack.running() as running:
        for part in wanted.values():
            figures += part(running, short=short)
    _print(figures)
    if not short:
        _write(figures)
    return 0


def _print(figures: list[Figure]) -> None:
    table = Table("part", "work", "figure", "ratio", "target")
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        table.add_row(figure.part, figure.work, f"{figure.value:,.2f} {figure.unit}", ratio, figure.target)
    Console(width=120).print(table)


def _write(figures: list[Figure]) -> None:
    RESULTS.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    result = {"machine": machine, "figures": [figure._asdict() for figure in figures]}
    (RESULTS / time.strftime("%Y-%m-%dT%H%M%SZ.json", time.gmtime())).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
