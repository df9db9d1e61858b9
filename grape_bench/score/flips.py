"""Pairs of rules whose order at equal samples differs from their order at equal cost."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations

from grape_bench.score.cell import Cell, differences, looks_of
from grape_bench.score.inference import LEVEL, Interval, holm, interval, mean, over_looks, paired_t
from grape_bench.score.metric import Metric
from grape_bench.score.path import Path

RESOLVED, UNRESOLVED = "resolved", "not resolved"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two rules on one task. `first` leads at equal samples, which is at the end of both runs.

    Equal cost is at `budget`, the cost of the cheaper rule's whole run. `samples` and `cost` are the differences
    first - second there, with 95 % intervals. `p` is that of a flip, Holm-adjusted over the pairs of the task.
    `changes` are the costs up to `budget` at which the lead changes.
    """

    task: str
    first: str
    second: str
    metric: Metric
    budget: float
    samples: Interval
    cost: Interval
    p: float
    changes: tuple[float, ...]

    @property
    def flips(self) -> bool:
        """Whether `second` leads at equal cost."""
        return self.cost.mean < 0 < self.samples.mean

    @property
    def clarity(self) -> float:
        """How far both differences are from 0, in half-widths of their intervals: the smaller of the two."""
        both = (self.samples, self.cost)
        return min(abs(found.mean) / found.half_width if found.half_width > 0 else 0.0 for found in both)

    @property
    def word(self) -> str:
        """Whether both differences of a flip are resolved; "" if the pair does not flip."""
        if not self.flips:
            return ""
        return RESOLVED if self.p < LEVEL else UNRESOLVED


def pairs(paths: Iterable[Path]) -> list[Pair]:
    """Every pair of rules of one task, in the order of `paths`.

    `frozen` has no cost and is left out. So are open rows, which would change Holm's correction of the others.
    """
    costed = [path for path in paths if math.isfinite(path.end) and not path.cell.is_open]
    found = [pair for one, other in combinations(costed, 2) if (pair := _pair(one, other))]
    adjusted = holm(dict(enumerate(pair.p for pair in found)))
    return [replace(pair, p=adjusted[index]) for index, pair in enumerate(found)]


def _pair(one: Path, other: Path) -> Pair | None:
    """The pair before Holm's correction. None if no seed has both, or neither leads at equal samples."""
    center = mean(differences(one.whole, other.whole))
    if math.isnan(center) or center == 0:
        return None
    first, second = (one, other) if center > 0 else (other, one)
    budget = min(first.end, second.end)
    whole, there = (first.whole, second.whole), (first.at(budget), second.at(budget))
    at_samples, at_cost = interval(differences(*whole)), interval(differences(*there))
    # Both differences must be found, each with its own sign. So the larger p is that of the flip.
    p = max(_p(whole), _p(there)) if at_cost.mean < 0 else (1.0 if at_cost.n else math.nan)
    return Pair(
        task=first.cell.task,
        first=first.cell.rule,
        second=second.cell.rule,
        metric=first.cell.metric,
        budget=budget,
        samples=at_samples,
        cost=at_cost,
        p=p,
        changes=_changes(first, second, budget),
    )


def _p(pair: tuple[Cell, Cell]) -> float:
    return over_looks(paired_t(differences(*pair)), looks_of(*pair))


def _changes(first: Path, second: Path, budget: float) -> tuple[float, ...]:
    """The costs up to `budget` at which the lead changes, by the means over seeds."""
    # Example: first - second is -2 at cost 0.4 and +1 at cost 0.7 -> the line between crosses 0 at 0.6
    found = []
    before: tuple[float, float] | None = None
    for cost in sorted({min(cost, budget) for path in (first, second) for cost in path.moments} | {budget}):
        lead = mean(differences(first.at(cost), second.at(cost)))
        if math.isnan(lead) or lead == 0:
            continue
        if before and before[1] * lead < 0:
            found.append(before[0] + (cost - before[0]) * before[1] / (before[1] - lead))
        before = cost, lead
    return tuple(found)
