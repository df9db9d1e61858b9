"""Mean and its 95 % Student-t interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean, the half-width of its two-sided 95 % interval, and the number of values behind it."""

    mean: float
    half_width: float
    n: int


def mean(values: Iterable[float]) -> float:
    """The mean of `values`, NaN when there are none.

    The sum is exactly rounded, so that the order of the values cannot change its last digit.
    """
    numbers = list(values)
    return math.fsum(numbers) / len(numbers) if numbers else math.nan


def interval(values: Iterable[float]) -> Interval:
    """Mean ± t(0.975, n - 1) · s / sqrt(n) of independent values; the half-width of one value is NaN.

    Student-t and not a percentile bootstrap: resampling five seeds covers about 83 % where 95 % is claimed.
    """
    numbers = list(values)
    n, centre = len(numbers), mean(numbers)
    if n < 2:
        return Interval(centre, math.nan, n)
    deviation = math.sqrt(math.fsum((x - centre) ** 2 for x in numbers) / (n - 1))
    return Interval(centre, _t_quantile(n - 1) * deviation / math.sqrt(n), n)


def _t_quantile(freedom: int) -> float:
    # scipy.special, not scipy.stats: the latter takes most of a second to import.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))
