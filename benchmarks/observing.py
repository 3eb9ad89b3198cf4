"""What a stretch of work used, and which resource held it back."""

import os
import threading
from collections import Counter
from types import TracebackType
from typing import Self

import psycopg

from benchmarks.figures import Figure
from benchmarks.stack import Running
from benchmarks.usage import Cores

_BUSY_FROM = 0.85
"""Of all cores: from here on there is no CPU left to speak of, since what looks on takes some, too."""
_SYNC_FROM = 0.5

_TIME_SYNCS = "ALTER SYSTEM SET track_wal_io_timing = on"
_SYNC_SECONDS = "SELECT coalesce(sum(fsync_time), 0) / 1000 FROM pg_stat_io WHERE object = 'wal'"
_WAITS = """
SELECT coalesce(wait_event, 'CPU') FROM pg_stat_activity
WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()
"""


class Observed:
    """Look on while the block lasts: CPU by kind of process, the WAL's fsyncs, and what sessions wait for."""

    def __init__(self, site: Running) -> None:
        self._url = site.database_url
        self._waits: Counter[str] = Counter()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.cores = Cores()

    def __enter__(self) -> Self:
        with psycopg.connect(self._url, autocommit=True) as ledger:
            ledger.execute(_TIME_SYNCS)
            ledger.execute("SELECT pg_reload_conf()")
        self._synced = self._sync_seconds()
        self._thread.start()
        self.cores.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cores.__exit__(kind, error, trace)
        self._ended.set()
        self._thread.join()
        self._synced = self._sync_seconds() - self._synced

    def figures(self, part: str, work: str) -> list[Figure]:
        """Return what was used, and the resource that was at its end."""
        kinds = sorted(self.cores.by_kind.items(), key=lambda item: -item[1])
        told = ", ".join(f"{kind} {cores:.2f}" for kind, cores in kinds if cores >= 0.02)
        return [
            Figure(part, f"{work}: cores busy ({told})", self._busy, "cores"),
            Figure(part, f"{work}: WAL being synced", 100 * self._sync_share, "% of time"),
            Figure(part, f"{work}: limited by {self._limit()}", self._sessions, "sessions active"),
        ]

    def _limit(self) -> str:
        if self._busy >= _BUSY_FROM * (os.cpu_count() or 1):
            return "CPU, most of it " + max(self.cores.by_kind.items(), key=lambda item: item[1])[0]
        if self._sync_share >= _SYNC_FROM:
            return "fsync"
        waits = ", ".join(f"{event} {number}" for event, number in self._waits.most_common(3))
        return f"neither CPU nor fsync; sessions seen: {waits or 'none'}"

    @property
    def _busy(self) -> float:
        return sum(self.cores.by_kind.values())

    @property
    def _sync_share(self) -> float:
        return self._synced / self.cores.seconds

    @property
    def _sessions(self) -> float:
        return sum(self._waits.values()) / max(self._samples, 1)

    def _sample(self) -> None:
        self._samples = 0
        with psycopg.connect(self._url, autocommit=True) as ledger:
            while not self._ended.wait(0.05):
                self._waits.update(event for (event,) in ledger.execute(_WAITS))
                self._samples += 1

    def _sync_seconds(self) -> float:
        with psycopg.connect(self._url) as ledger:
            return float(ledger.execute(_SYNC_SECONDS).fetchone()[0])
