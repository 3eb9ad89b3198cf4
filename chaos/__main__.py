"""`make chaos`: break Waybill for a while, then hold it to its promises. Ends with 1 when one was broken.

`SECONDS=600` how long (120); `SEED=7` the chance's seed; `DRAIN=600` how long working off what is left may take (300).
`KEEP=directory` keeps the evidence there, and `CHECK=directory` only checks what was kept. `REST=1` seconds between two
mischiefs, `PACE=0.25` between two calls of a client, on average. `PATIENCE=0` seconds allowed on top of the 200 ms in
which a cancel must hold: for a machine that has other work as well.
"""

import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from chaos import evidence, promises, run, tally


def main() -> int:
    """Run, check, print; return how it ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    patience = float(os.environ.get("PATIENCE", "0"))
    if kept := os.environ.get("CHECK"):
        return _judge(Path(kept), patience=patience)
    with tempfile.TemporaryDirectory(prefix="waybill-chaos-", ignore_cleanup_errors=True) as scratch:
        directory = Path(os.environ.get("KEEP") or scratch).absolute()
        directory.mkdir(parents=True, exist_ok=True)
        wish = run.Wish(
            directory=directory,
            seconds=float(os.environ.get("SECONDS", "120")),
            seed=int(os.environ.get("SEED") or random.randrange(1_000_000)),
            drain=float(os.environ.get("DRAIN", "300")),
            rest=float(os.environ.get("REST", "1")),
            pace=float(os.environ.get("PACE", "0.25")),
        )
        asyncio.run(run.run(wish, say=_say))
        return _judge(directory, patience=patience)


def _judge(directory: Path, *, patience: float) -> int:
    found = evidence.gather(directory, patience=patience)
    violations = promises.check(found)
    print("\n".join(tally.lines(found, violations)), flush=True)
    return int(any(violations.values()))


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
