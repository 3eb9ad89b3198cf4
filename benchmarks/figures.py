"""What a part of the benchmark answers with."""

from collections.abc import Callable, Sequence
from statistics import median, quantiles
from typing import NamedTuple


class Figure(NamedTuple):
    """One row of the table."""

    part: str
    work: str
    value: float
    unit: str
    ratio: float | None = None
    target: str = ""


Part = Callable[..., list[Figure]]


def spread(seconds: Sequence[float]) -> tuple[float, float]:
    """Return median and 99th percentile, in milliseconds."""
    return 1000 * median(seconds), 1000 * quantiles(seconds, n=100)[98]
