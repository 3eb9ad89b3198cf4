"""`make bench`: every part in one run on one PostgreSQL and one broker; a table of figures and ratios, and JSON.

`ONLY=P1,P4` runs those parts, `ONLY=SCALE` those about scale, which take longer and run only when they are asked for.
`SHORT=1` runs a small amount of work and keeps no figures: it shows that the benchmarks themselves work.
A part that fails, or takes longer than it may, is named at the end; the others still run.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from benchmarks import parts, results, stack
from benchmarks.figures import Figure, Part
from benchmarks.stack import Running


class PartTookTooLong(Exception):
    """The part was broken off."""


def main() -> int:
    """Run the parts asked for; return 1 when one of them did not come to its end."""
    only, short = os.environ.get("ONLY", ""), bool(os.environ.get("SHORT"))
    try:
        wanted = parts.choose(only)
    except parts.UnknownPart as unknown:
        sys.exit(f"ONLY={only}: {unknown}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    figures: list[Figure] = []
    failed: list[str] = []
    run = results.Run()
    with stack.running() as running:
        for name, part in wanted.items():
            try:
                figures += _carry_out(name, part, running, short=short)
            except Exception as error:  # noqa: BLE001 - one part's trouble must not cost the others' figures
                failed.append(f"{name}: {error!r}")
        machine = results.describe(running)
    _print(figures)
    for line in failed:
        print(line, file=sys.stderr)
    if not short:
        run.write(figures, machine=machine, failed=failed)
    return 1 if failed else 0


def _carry_out(name: str, part: Part, running: Running, *, short: bool) -> list[Figure]:
    began = time.monotonic()
    with _at_most(parts.SECONDS_SHORT if short else parts.SECONDS[name]):
        figures = part(running, short=short)
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return figures


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise PartTookTooLong(f"longer than {seconds} s")

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def _print(figures: list[Figure]) -> None:
    table = Table("part", "work", "figure", "ratio", "target", "")
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        met = {None: "", True: "met", False: "missed"}[figure.met]
        table.add_row(figure.part, figure.work, f"{figure.value:,.2f} {figure.unit}", ratio, figure.target, met)
    Console(width=140).print(table)


if __name__ == "__main__":
    sys.exit(main())
