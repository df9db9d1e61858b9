"""One row of the table: a cell beside its references, and the scores that follow from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from grape_bench.score.cell import Cell, looks_of, means
from grape_bench.score.inference import interval, mean
from grape_bench.score.lead import above_chance, resolved
from grape_bench.score.metric import Metric
from grape_bench.score.references import References
from grape_bench.score.standing import NOWHERE, Standing, standings
from grape_bench.score.verdict import judge

DRAFT_BELOW = 5
Scores = Mapping[int, float]
"""Seed -> score."""


def position(value: float, low: float, high: float) -> float:
    """(value - low) / (high - low): 0 at the lower reference, 1 at the higher one. Never clipped.

    Below 0 means worse than the lower reference, above 1 better than the higher one. Both happen, and clipping would
    hide them. A missing input gives NaN, and so do equal references.
    """
    return math.nan if high == low else (value - low) / (high - low)


def between(own: Scores, low: Scores, high: Scores, looks: int) -> float:
    """The position of a mean between two references; NaN unless `high` is resolved to be above `low`.

    All three means are over the seeds in common, so that both sides of each difference saw the same weights and
    batches. Otherwise the quotient could be any number: 10.83, or -1.6e14 for equal references.
    """
    common = own.keys() & low.keys() & high.keys()
    if not resolved({seed: high[seed] for seed in common}, low, looks):
        return math.nan
    return over_common(own, low, high)


def over_common(own: Scores, low: Scores, high: Scores) -> float:
    """The position of a mean between two references, all over the seeds in common. NaN without one."""
    seeds = sorted(own.keys() & low.keys() & high.keys())
    return position(*(mean(scores[seed] for seed in seeds) for scores in (own, low, high)))


@dataclass(frozen=True)
class Row:
    """A cell with the references of its task.

    `comparable` says whether the cell ran on BP's hardware class, so that its costs can be compared. `blocks` is the
    score as a number of trained blocks: see `ladder`. `p_best` is p of the difference from the best rule of the task.
    It is the only thing here that depends on another rule under test.
    """

    cell: Cell
    references: References
    comparable: bool = True
    p_best: float = math.nan
    blocks: float = math.nan

    @property
    def draft(self) -> bool:
        """True if there are too few seeds for more than a draft."""
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
        """(score - chance) / (BP - chance): 0 is guessing, 1 is BP. NaN if BP is not above chance."""
        own, high = means(self.cell, self.references.bp)
        return position(own, self.cell.chance, high) if above_chance(self.references.bp, self.cell) else math.nan

    @property
    def credit(self) -> float:
        """(score - frozen) / (BP - frozen): 0 is the best that untrained hidden layers allow, 1 is BP."""
        bp, frozen = self.references.bp, self.references.frozen
        return between(self.cell.scores, frozen.scores, bp.scores, looks_of(bp, frozen)) if bp and frozen else math.nan

    @property
    def feature_credit(self) -> float:
        """The credit of a converged head on each run's features, BP's included. NaN where credit has no meaning."""
        bp, frozen = self.references.bp, self.references.frozen
        if not bp or not frozen or not self.references.bp_above(frozen):
            return math.nan
        own = frozen.scores if self.cell.rule == frozen.rule else self.cell.feature_scores
        return between(own, frozen.scores, bp.feature_scores, looks_of(bp, frozen))

    @property
    def gap_closed(self) -> float:
        """(score - DFA) / (BP - DFA): the share of DFA's distance to BP that the rule makes up."""
        bp, dfa = self.references.bp, self.references.dfa
        return between(self.cell.scores, dfa.scores, bp.scores, looks_of(bp, dfa)) if bp and dfa else math.nan

    @cached_property
    def standings(self) -> dict[str, Standing]:
        """The standing against each reference, by name."""
        return standings(self.cell, self.references)

    def standing(self, name: str) -> Standing:
        """The standing against "bp", "dfa" or "control"."""
        return self.standings.get(name, NOWHERE)

    @property
    def step_ratio(self) -> float:
        """Step time ÷ BP's; NaN on other hardware than BP's."""
        return self.cell.step_ratio if self.comparable else math.nan

    @property
    def memory_ratio(self) -> float:
        """Peak memory ÷ BP's; NaN on other hardware than BP's."""
        return self.cell.memory_ratio(self.references.bp) if self.comparable else math.nan

    @property
    def verdict(self) -> str:
        """Did the rule train the hidden layers? "" if there is no verdict."""
        return judge(self.cell, self.references).word
