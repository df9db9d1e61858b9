"""One row of the table: a cell beside its references, and the scores that follow from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from grape_bench.score.cell import Cell, means
from grape_bench.score.inference import Standing, interval
from grape_bench.score.metric import Metric
from grape_bench.score.verdict import judge

DRAFT_BELOW = 5
NO_STANDING = Standing(math.nan, False)


def position(value: float, low: float, high: float) -> float:
    """(value - low) / (high - low): 0 at the lower reference, 1 at the higher one. Never clipped.

    Below 0 means worse than the lower reference, above 1 better than the higher one. Both happen, and clipping would
    hide them. A missing input gives NaN, and so do equal references.
    """
    return math.nan if high == low else (value - low) / (high - low)


@dataclass(frozen=True)
class Row:
    """A cell with its references on the same task; a reference without a cell is None.

    `comparable` says whether the cell ran on BP's hardware class, so that its costs can be compared. `standing` is
    the comparison with the best rule of the task.
    """

    cell: Cell
    bp: Cell | None
    head_only: Cell | None
    dfa: Cell | None
    comparable: bool = True
    standing: Standing = NO_STANDING

    @property
    def draft(self) -> bool:
        """True if there are too few seeds for a table that counts."""
        return len(self.cell.scores) < DRAFT_BELOW

    def mean(self, metric: Metric) -> float:
        """Mean test value; NaN if the task has another metric. A perplexity is averaged as its logarithm."""
        return metric.value(interval(self.cell.scores.values()).mean) if self.cell.metric is metric else math.nan

    def half_width(self, metric: Metric) -> float:
        """Half-width of the 95 % interval of `mean`, on the longer side; NaN if the task has another metric."""
        found = interval(self.cell.scores.values())
        return metric.half_width(found.mean, found.half_width) if self.cell.metric is metric else math.nan

    @property
    def norm_acc(self) -> float:
        """(score - chance) / (BP - chance): 0 is guessing, 1 is BP."""
        own, high = means(self.cell, self.bp)
        return position(own, self.cell.chance, high)

    @property
    def credit(self) -> float:
        """(score - head-only) / (BP - head-only): 0 means that the hidden layers learned nothing, 1 is BP."""
        return self._between(self.head_only)

    @property
    def gap_closed(self) -> float:
        """(score - DFA) / (BP - DFA): the share of DFA's distance to BP that the rule makes up."""
        return self._between(self.dfa)

    def _between(self, reference: Cell | None) -> float:
        # Over common seeds only, so that both sides of each difference saw the same weights and batches.
        own, high, low = means(self.cell, self.bp, reference)
        return position(own, low, high)

    @property
    def step_ratio(self) -> float:
        """Step time ÷ BP's; NaN on other hardware than BP's."""
        return self.cell.step_ratio if self.comparable else math.nan

    @property
    def memory_ratio(self) -> float:
        """Peak memory ÷ BP's; NaN on other hardware than BP's."""
        return self.cell.memory_ratio(self.bp) if self.comparable else math.nan

    @property
    def verdict(self) -> str:
        """Did the rule train the hidden layers? "" if there is no verdict."""
        return judge(self.cell, self.head_only).word
