"""The parts of the benchmark: what is measured, beside what, and which ratio is aimed at."""

from benchmarks import bulk, fairness, reads, singles, slow_calls
from benchmarks.figures import Part

PARTS: dict[str, Part] = {
    "P1": bulk.many_in_bulk,
    "P2": singles.many_singles,
    "P3": singles.one_single,
    "P4": reads.finished_requests,
    "P5": slow_calls.one_process,
    "P6": fairness.behind_a_backlog,
}
