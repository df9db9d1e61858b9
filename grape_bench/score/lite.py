"""Lite rows: rules with one seed on some tasks, beside recorded rows. They are compared on common seeds, not judged."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd
from typing_extensions import override

from grape_bench.score.cell import Cell, Grid, by_task
from grape_bench.score.inference import mean
from grape_bench.score.references import References
from grape_bench.score.row import Row, Scores, over_common
from grape_bench.score.standing import Standing

LITE_MARK = "‡"
LEAST_GAIN = 0.5
"""The share of its mean gain that BP must have on the seeds of a lite row."""


@dataclass(frozen=True)
class Lite:
    """The lite rules of a table, and the number of tasks of the whole suite."""

    rules: frozenset[str] = frozenset()
    tasks: int = 0

    def without(self, grid: Grid) -> dict[tuple[str, str], Cell]:
        """The cells of the other rules, which alone may be ranked."""
        return {key: cell for key, cell in grid.items() if cell.rule not in self.rules}

    def stated(self, grid: Grid) -> Iterator[str]:
        """The sentences of a caption: what a lite row is, and what it does not get."""
        counts = {sum(cell.rule == rule and bool(cell.scores) for cell in grid.values()) for rule in self.rules}
        if counts:
            yield (
                f"{LITE_MARK} lite: one seed, {' or '.join(map(str, sorted(counts)))} of {self.tasks} tasks."
                " Its scores use only that seed of each reference. A lite row is not ranked and gets no verdict."
            )


NOT_LITE = Lite()


class LiteRow(Row):
    """A row whose references have more seeds than its cell.

    As in a full row, all seeds of the references decide whether a quotient is meaningful. The quotient itself uses only
    the seeds in common. If BP gains less there than `LEAST_GAIN` of its mean gain, it failed on them, and there is no
    quotient. One seed supports no test, so there are no standings and no verdict.
    """

    @property
    @override
    def credit(self) -> float:
        return self._between(self.references.frozen, self.cell.scores)

    @property
    @override
    def feature_credit(self) -> float:
        return self._between(self.references.frozen, self.cell.feature_scores, features=True)

    @property
    @override
    def gap_closed(self) -> float:
        return self._between(self.references.dfa, self.cell.scores)

    def _between(self, low: Cell | None, own: Scores, *, features: bool = False) -> float:
        """The position of `own` between `low` and BP. NaN if one is missing, or BP is not resolved above `low`."""
        bp = self.references.bp
        if low is None or bp is None or not self.references.bp_above(low):
            return math.nan
        high = bp.feature_scores if features else bp.scores
        return over_common(own, low.scores, high) if _gains_enough(own, low.scores, high) else math.nan

    @cached_property
    @override
    def standings(self) -> dict[str, Standing]:
        return {}

    @property
    @override
    def verdict(self) -> str:
        return ""


def _gains_enough(own: Scores, low: Scores, high: Scores) -> bool:
    """Whether `high` - `low` on the seeds of `own` is at least `LEAST_GAIN` of its mean over all seeds."""
    gains = {seed: high[seed] - low[seed] for seed in sorted(high.keys() & low.keys())}
    return mean(gain for seed, gain in gains.items() if seed in own) >= LEAST_GAIN * mean(gains.values())


def mean_credit(grid: Grid, lite: Lite) -> tuple[list[str], dict[str, float]]:
    """Return tasks, and each rule's mean credit over these tasks, on the seeds of the lite rules alone.

    The tasks are those on which every lite rule has a credit, and the rules those with a credit on all of these tasks.
    Lite rules come last: the order is not a ranking.
    """
    rules = dict.fromkeys([*(rule for _, rule in lite.without(grid)), *(rule for _, rule in grid)])
    credits = {task: _credits(part.values(), References.of(grid, task), lite) for task, part in by_task(grid).items()}
    table = pd.DataFrame({task: {rule: found.get(rule, math.nan) for rule in rules} for task, found in credits.items()})
    common = table.loc[:, table.loc[sorted(lite.rules & rules.keys())].notna().all()].dropna()
    means = common.mean(axis=1) if len(common.columns) else pd.Series(dtype=float)
    return list(common.columns), {str(rule): float(credit) for rule, credit in means.items()}


def _credits(cells: Collection[Cell], references: References, lite: Lite) -> dict[str, float]:
    seeds = {seed for cell in cells if cell.rule in lite.rules for seed in cell.scores}
    return {cell.rule: LiteRow(_of_seeds(cell, seeds), references).credit for cell in cells}


def _of_seeds(cell: Cell, seeds: Iterable[int]) -> Cell:
    wanted = set(seeds)
    return replace(cell, records=tuple(record for record in cell.records if record.seed in wanted))
