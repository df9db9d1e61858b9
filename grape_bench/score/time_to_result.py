"""Time to result: when each rule reaches a share of BP's gain over the control."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

import pandas as pd

from grape_bench.record.record import Record
from grape_bench.record.status import Status
from grape_bench.score.cell import Cell, Grid, by_task, hardware_classes
from grape_bench.score.inference import mean
from grape_bench.score.references import References

SHARES = (0.5, 0.8, 0.95, 1.0)
Curves = Mapping[str, pd.DataFrame]
"""The rows of curve.csv by record id."""


def time_to(grid: Grid, curves: Curves) -> pd.DataFrame:
    """One row per task, rule and share of BP's gain: target, samples, seconds, reached, n.

    The gain is BP's validation score - the control's, each a mean over seeds of the weights that are tested. `target`
    is the validation value (accuracy in percent, perplexity ...) at a share of the gain. A seed's time is its first
    evaluation at or above the target. `samples` and `seconds` are medians over seeds; a seed that never reached the
    target counts as infinite, and an infinite median is NaN. A diverged seed counts as never, even if it reached the
    target before. `seconds` is NaN unless the rule ran on BP's hardware class. The table is empty if BP or the control
    has no curve.
    """
    rows = []
    paths = _Paths(curves)
    for task, part in by_task(grid).items():
        bp, control = part.get((task, "bp")), References.of(part, task).control
        low, high = (paths.final(reference) if reference else math.nan for reference in (control, bp))
        for cell in part.values():
            runs = [record for record in cell.results if record.id in curves or record.status is Status.DIVERGED]
            if runs and high > low:
                for share in SHARES:
                    target = low + share * (high - low)
                    rows.append({"task": task, "rule": cell.rule, "share": share, **paths.times(cell, runs, target)})
                    if len(hardware_classes(cell, bp, part)) > 1:
                        rows[-1]["seconds"] = math.nan
    return pd.DataFrame(rows)


class _Paths:
    """The validation scores of each record along its curve, cached so that each curve is read once for all shares."""

    def __init__(self, curves: Curves) -> None:
        self._curves = curves
        self._known: dict[str, list[tuple[float, float, float]]] = {}  # score, samples, seconds

    def final(self, cell: Cell) -> float:
        """Mean over seeds of the validation score of the tested weights. A diverged seed counts as chance."""
        ends = [
            cell.chance if record.status is Status.DIVERGED else self._tested(cell, record)
            for record in cell.results
            if record.status is Status.DIVERGED or record.id in self._curves
        ]
        return mean(ends)

    def _tested(self, cell: Cell, record: Record) -> float:
        scores = [score for score, _, _ in self._of(cell, record)]
        return max(scores) if record.job.select == "best" else scores[-1]

    def times(self, cell: Cell, runs: list[Record], target: float) -> dict[str, Any]:
        """One row: when the `runs` reach the target."""
        reached = [self._first(cell, record, target) for record in runs]
        middle = [median(time[i] for time in reached) for i in (0, 1)]
        return {
            "target": cell.metric.value(target),
            "samples": middle[0] if math.isfinite(middle[0]) else math.nan,
            "seconds": middle[1] if math.isfinite(middle[1]) else math.nan,
            "reached": sum(math.isfinite(samples) for samples, _ in reached),
            "n": len(runs),
        }

    def _first(self, cell: Cell, record: Record, target: float) -> tuple[float, float]:
        """Samples and seconds of the first evaluation at or above the target; infinite if there is none."""
        if record.status is not Status.DIVERGED:
            for score, samples, seconds in self._of(cell, record):
                if score >= target:
                    return samples, seconds
        return math.inf, math.inf

    def _of(self, cell: Cell, record: Record) -> list[tuple[float, float, float]]:
        if record.id not in self._known:
            curve = self._curves[record.id]
            scores = cell.metric.validation(curve).map(cell.metric.score)
            columns = (scores, curve["samples"], curve["seconds"])
            self._known[record.id] = list(zip(*(column.astype(float).tolist() for column in columns), strict=True))
        return self._known[record.id]
