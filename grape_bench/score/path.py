"""The validation scores of a rule's runs as functions of cost, and the rule's cell at one cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate

import numpy as np
import pandas as pd
from typing_extensions import override

from grape_bench.record.rule_name import FROZEN
from grape_bench.record.status import Status
from grape_bench.score.cell import Cell
from grape_bench.score.cost_axis import CostModel
from grape_bench.score.inference import Interval, interval

Run = tuple[tuple[float, float], ...]
"""(cost, score) of each evaluation of one seed, in ascending order of cost."""


@dataclass(frozen=True)
class CellAtCost(Cell):
    """A cell at one cost: its scores are those on the validation split at that cost, by seed."""

    at: Mapping[int, float] = field(default_factory=dict)

    @cached_property
    @override
    def scores(self) -> dict[int, float]:
        return dict(self.at)

    @cached_property
    @override
    def values(self) -> dict[int, float]:
        return {seed: self.metric.value(score) for seed, score in self.at.items()}


@dataclass(frozen=True)
class Path:
    """The runs of a cell as functions of cost, in units of BP's whole training, which takes this many `samples`.

    A diverged seed has the score of guessing at every cost. The control `frozen` has its own score at every cost, and
    no `spending`, because it takes no steps.
    """

    cell: Cell
    runs: Mapping[int, Run]
    spending: CostModel | None = None
    samples: float = math.nan

    def costs(self, curve: pd.DataFrame) -> list[float]:
        """The cost at each row of a curve.csv. A path without steps has none."""
        assert self.spending is not None, "frozen has no cost"
        return [self.spending.until(float(samples) / self.samples) for samples in curve["samples"]]

    @property
    def end(self) -> float:
        """The cost of the whole run; infinite without steps."""
        return self.spending.until(1.0) if self.spending else math.inf

    @cached_property
    def moments(self) -> tuple[float, ...]:
        """The costs of the evaluations, ascending. A score that holds from the start has the cost 0."""
        return tuple(sorted({cost for run in self.runs.values() for cost, _ in run}))

    def at(self, cost: float) -> CellAtCost:
        """The cell at this cost. A seed's score is linear between evaluations, and constant after the last one.

        The cell has no scores at a cost before the first evaluation of some seed.
        """
        # Example: evaluations (0.5, 80), (1.0, 90) -> none at 0.4, 84 at 0.7, 90 at 1.0 and beyond
        if any(run[0][0] > cost for run in self.runs.values()):
            return self._placed({})
        return self._placed({seed: _on_line(run, cost) for seed, run in self.runs.items()})

    @property
    def whole(self) -> CellAtCost:
        """The cell at the end of its runs."""
        return self._placed({seed: run[-1][1] for seed, run in self.runs.items()})

    def band(self) -> dict[float, Interval]:
        """Cost of each evaluation -> mean score over seeds with its 95 % interval."""
        placed = {cost: self.at(cost).scores for cost in self.moments}
        return {cost: interval(scores.values()) for cost, scores in placed.items() if scores}

    def _placed(self, scores: Mapping[int, float]) -> CellAtCost:
        return CellAtCost(self.cell.task, self.cell.rule, self.cell.records, scores)


def path(cell: Cell, curves: Mapping[str, pd.DataFrame], spending: CostModel, samples: float) -> Path | None:
    """The runs of `cell`, whose whole training takes `samples`. None if no run that finished has a learning curve.

    With `select = "best"`, the score at an evaluation is the best so far, as it is at the end of the training.
    """
    own = Path(cell, {}, spending, samples)
    runs: dict[int, Run] = {}
    for record in cell.results:
        if record.status is Status.DIVERGED:
            runs[record.seed] = ((0.0, cell.metric.score(record.validation)),)
        elif record.id in curves:
            curve = curves[record.id]
            scores = cell.metric.validation(curve).map(cell.metric.score).tolist()
            best = list(accumulate(scores, max)) if record.job.select == "best" else scores
            runs[record.seed] = tuple(zip(own.costs(curve), best, strict=True))
    if len(runs) == cell.diverged < len(cell.results):  # the seeds that trained would be missing from the mean
        return None
    return replace(own, runs=runs)


def constant_path(cell: Cell) -> Path:
    """The control `frozen`, whose score is the same at every cost."""
    runs = {record.seed: ((0.0, cell.metric.score(record.validation)),) for record in cell.results}
    return Path(cell, runs)


def budget_of(cells: Iterable[Cell], curves: Mapping[str, pd.DataFrame]) -> float:
    """The training samples of a whole training, which all rules of a task share; NaN without a curve.

    A diverged run ends earlier, and the samples of `frozen` are those that its head was fitted on.
    """
    ends = [
        float(curves[record.id]["samples"].iloc[-1])
        for cell in cells
        for record in cell.results
        if cell.rule != FROZEN and record.id in curves
    ]
    return max(ends, default=math.nan)


def _on_line(run: Run, cost: float) -> float:
    """The score at this cost on the straight lines between the evaluations of a run."""
    return float(np.interp(cost, [moment for moment, _ in run], [score for _, score in run]))
