"""S4: what 2,000,000 messages leave behind in tables and indexes."""

from collections.abc import Mapping

import psycopg

from benchmarks import databases, waybill
from benchmarks.figures import Figure
from benchmarks.stack import Running

_STEPS = 10
_TABLES = ("orchestrator_message", "orchestrator_request", "orchestrator_claim")

_SIZES = """
SELECT oid::regclass::text, pg_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND oid = ANY (%(tables)s::regclass[])
    OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = ANY (%(tables)s::regclass[]))
ORDER BY relkind DESC, 2 DESC
"""
_WAL = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"
_VACUUMS = "SELECT autovacuum_count, n_dead_tup FROM pg_stat_user_tables WHERE relname = 'orchestrator_message'"


def after_many_messages(running: Running, *, short: bool) -> list[Figure]:
    """S4: sizes after 2,000,000 Echo messages have gone through, beside the same rows packed anew (VACUUM FULL)."""
    messages, per_request = (10_000, 1_000) if short else (2_000_000, 10_000)
    with databases.database(running, "growth") as site:
        began = waybill.ask(site, _WAL)
        with databases.web(site) as served, databases.workers(served, 2):
            step = messages // _STEPS
            rates = [step / waybill.flood(served, messages=step, per_request=per_request) for _ in range(_STEPS)]
        with psycopg.connect(site.database_url, autocommit=True) as ledger:
            vacuums, dead = ledger.execute(_VACUUMS).fetchone()
            wal = ledger.execute(_WAL).fetchone()[0] - began
            sizes = _sizes(ledger)
            for table in _TABLES:
                ledger.execute(f"VACUUM FULL {table}")
            packed = _sizes(ledger)
    return [
        Figure("S4", f"the first {step:,} messages", rates[0], "messages/s"),
        Figure("S4", f"the last of {messages:,}", rates[-1], "messages/s", rates[-1] / rates[0]),
        Figure("S4", "all relations, for each message", sum(sizes.values()) / messages, "bytes"),
        Figure("S4", "WAL written, for each message", float(wal) / messages, "bytes"),
        Figure("S4", "vacuumed by itself meanwhile", vacuums, "times"),
        Figure("S4", "dead rows of messages at the end", dead, "rows"),
        *_swollen(sizes, packed),
    ]


def _swollen(sizes: Mapping[str, int], packed: Mapping[str, int]) -> list[Figure]:
    """Tell of each relation of some size how large it is, and how often it would fit into itself when packed."""
    return [
        Figure("S4", f"{name}, and times what it is packed", size / 1e6, "MB", size / max(packed[name], 1))
        for name, size in sizes.items()
        if size >= 100_000
    ]


def _sizes(ledger: psycopg.Connection) -> dict[str, int]:
    return dict(ledger.execute(_SIZES, {"tables": list(_TABLES)}).fetchall())
