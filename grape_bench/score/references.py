"""The references of a task: BP, DFA, and the control, whose hidden layers are untrained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from grape_bench.record.rule_name import FROZEN, HEAD_ONLY
from grape_bench.score.cell import Cell, Grid, aligned, looks_of
from grape_bench.score.lead import resolved

MARGIN = 0.1
"""The margin of "tied" where a suite declares none: a share of BP - the control."""

REFERENCE_RULES = ("bp", FROZEN, HEAD_ONLY, "dfa")
REFERENCE_COLUMNS = {"bp": "BP", "dfa": "DFA", "control": "the control"}
"""What a row is compared with, by the name of its columns, as text. The control is `FROZEN`, or else `HEAD_ONLY`."""


@dataclass(frozen=True)
class References:
    """The cells that every row of a task is compared with. One without a result is None."""

    bp: Cell | None = None
    frozen: Cell | None = None
    head_only: Cell | None = None
    dfa: Cell | None = None

    @classmethod
    def of(cls, grid: Grid, task: str) -> References:
        """The references among the cells of `task`."""
        found = [grid.get((task, rule)) for rule in REFERENCE_RULES]
        return cls(*(cell if cell and cell.scores else None for cell in found))

    @cached_property
    def control(self) -> Cell | None:
        """`frozen`, or head-only in a table that was recorded without it."""
        return self.frozen or self.head_only

    @cached_property
    def named(self) -> dict[str, Cell]:
        """The references that exist, by the name of their column: "bp", "dfa", "control"."""
        every = {"bp": self.bp, "dfa": self.dfa, "control": self.control}
        return {name: cell for name, cell in every.items() if cell}

    def bp_above(self, other: Cell | None) -> bool:
        """True if BP is resolved to be above `other`. Shares of BP - `other` have no meaning otherwise."""
        return bool(self.bp and other and resolved(self.bp.scores, other.scores, looks_of(self.bp, other)))

    @cached_property
    def margin(self) -> float:
        """The margin of "tied" as a share of BP - frozen."""
        declared = [record.job.margin for record in self.bp.records] if self.bp else []
        return next((share for share in declared if share is not None), MARGIN)

    @cached_property
    def pooled(self) -> tuple[float, int]:
        """The pooled variance of the paired difference of two references, and its degrees of freedom.

        It is twice the residual variance of rules x seeds, after the effects of both are taken out:

            bp 90 91 92, dfa 80 82 81: differences 10, 9, 11 with variance 1 -> (1.0, 2)

        NaN and 0 for fewer than two references, or fewer than two seeds in common.
        """
        cells = list(self.named.values())
        scores = np.array(aligned(*cells)) if len(cells) > 1 else np.empty((0, 0))
        rules, seeds = scores.shape
        if seeds < 2:
            return math.nan, 0
        residual = scores - scores.mean(0) - scores.mean(1, keepdims=True) + scores.mean()
        freedom = (rules - 1) * (seeds - 1)
        return float(2 * (residual**2).sum() / freedom), freedom

    def spread(self, variance: float, freedom: int) -> float:
        """The standard deviation to plan with for a paired difference whose measured variance is `variance`.

        This is pooled with the references' variance, by degrees of freedom. It never falls below the difference's own
        variance, because the rule may spread more than the references. NaN if neither is known.
        """
        known, more = self.pooled
        if freedom < 1 or more < 1:
            return math.sqrt(known if freedom < 1 else variance)
        return math.sqrt(max(variance, (freedom * variance + more * known) / (freedom + more)))
