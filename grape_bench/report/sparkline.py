"""A series of numbers as a line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
MISSING = "·"


def sparkline(values: Sequence[float], *, low: float | None = None, high: float | None = None, width: int = 40) -> str:
    """A bar per value between `low` and `high` (those of the values, unless given), at most `width` of them.

    Of more values, equally spaced ones with the last; a dot where a value is missing.
    """
    if len(values) > width:
        values = [values[round(index * (len(values) - 1) / (width - 1))] for index in range(width)]
    present = [value for value in values if math.isfinite(value)]
    if not present:
        return MISSING * len(values)
    bottom = min(present) if low is None else low
    top = max(present) if high is None else high
    return "".join(_bar(value, bottom, top) for value in values)


def _bar(value: float, bottom: float, top: float) -> str:
    if not math.isfinite(value):
        return MISSING
    share = (value - bottom) / (top - bottom) if top > bottom else 0.5
    return BARS[min(len(BARS) - 1, max(0, int(share * len(BARS))))]
