"""Time to result: how long a rule trains until it reaches a share of BP's gain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

import pandas as pd

from grape_bench.record.record import Record
from grape_bench.record.status import Status
from grape_bench.score.cell import Cell
from grape_bench.score.hardware import comparable
from grape_bench.score.interval import mean
from grape_bench.score.ranking import Grid

SHARES = (0.5, 0.8, 0.95, 1.0)
Curves = Mapping[str, pd.DataFrame]


def time_to(grid: Grid, curves: Curves) -> pd.DataFrame:
    """A row per task, rule and share of BP's gain: target, samples, seconds, reached, n.

    The gain is BP's final validation score above head-only's, both as means over seeds; `target` is the validation
    value (accuracy in percent, or a perplexity) at that share of it. A seed's time is that of its first evaluation
    at or above the target. `samples` and `seconds` are medians over seeds, a seed that never got there taken as
    infinite: NaN where that makes the median infinite. A diverged seed never got there, whatever it had reached
    before. Seconds only for rules on BP's hardware class. Empty where BP or head-only has no curve.
    """
    rows = []
    for (task, rule), cell in grid.items():
        bp, head_only = grid.get((task, "bp")), grid.get((task, "head-only"))
        low, high = (_final(reference, curves) if reference else math.nan for reference in (head_only, bp))
        runs = [record for record in cell.results if record.id in curves or record.status is Status.DIVERGED]
        if runs and high > low:
            for share in SHARES:
                target = low + share * (high - low)
                rows.append({"task": task, "rule": rule, "share": share, **_times(cell, runs, curves, target)})
                if not comparable(cell, bp, grid):
                    rows[-1]["seconds"] = math.nan
    return pd.DataFrame(rows)


def _final(cell: Cell, curves: Curves) -> float:
    """Mean over seeds of the last validation score; a diverged seed counts as chance."""
    ends = [
        cell.chance if record.status is Status.DIVERGED else _scores(cell, curves[record.id]).iloc[-1]
        for record in cell.results
        if record.status is Status.DIVERGED or record.id in curves
    ]
    return mean(float(end) for end in ends)


def _scores(cell: Cell, curve: pd.DataFrame) -> pd.Series:
    return cell.metric.validation(curve).map(cell.metric.score)


def _times(cell: Cell, runs: list[Record], curves: Curves, target: float) -> dict[str, Any]:
    reached = [_first(cell, record, curves, target) for record in runs]
    middle = [median(time[i] for time in reached) for i in (0, 1)]
    return {
        "target": cell.metric.value(target),
        "samples": middle[0] if math.isfinite(middle[0]) else math.nan,
        "seconds": middle[1] if math.isfinite(middle[1]) else math.nan,
        "reached": sum(math.isfinite(samples) for samples, _ in reached),
        "n": len(runs),
    }


def _first(cell: Cell, record: Record, curves: Curves, target: float) -> tuple[float, float]:
    """Samples and seconds of the first evaluation at or above the target; infinite where there is none."""
    if record.status is not Status.DIVERGED:
        curve = curves[record.id]
        above = curve[_scores(cell, curve) >= target]
        if len(above):
            return float(above["samples"].iloc[0]), float(above["seconds"].iloc[0])
    return math.inf, math.inf
