"""What a part of the benchmark answers with."""

import operator
from collections.abc import Callable, Sequence
from statistics import median, quantiles
from typing import NamedTuple

_SIGNS = {"≥": operator.ge, "≤": operator.le}


class Figure(NamedTuple):
    """One row of the table. `target`: what its ratio should be, as `≥ 30` or `≤ 1.2`."""

    part: str
    work: str
    value: float
    unit: str
    ratio: float | None = None
    target: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.ratio is None or not self.target:
            return None
        sign, bound = self.target.split()
        return bool(_SIGNS[sign](self.ratio, float(bound)))


Part = Callable[..., list[Figure]]


def spread(seconds: Sequence[float]) -> tuple[float, float]:
    """Return median and 99th percentile, in milliseconds."""
    return 1000 * median(seconds), 1000 * quantiles(seconds, n=100)[98]


def p95(seconds: Sequence[float]) -> float:
    """Return the 95th percentile, in milliseconds."""
    return 1000 * quantiles(seconds, n=20)[18]
